"""Time of one step of imitation, and of its parts, on one core.

    OMP_NUM_THREADS=1 python benchmarks/imitation.py [ROBOT ...]

prints a table: median and 99th percentile in milliseconds over a smooth motion with random targets beside it, so that
the barrier between capsules is at work. `qp` is the quadratic program with its tasks and its barrier; `step` is all of
it: the filter, the program and the look at the way to a stop; `least squares` the same without the program; `closed
form` is one arm.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.datatypes import FloatArray
from pose_perception.evaluation.imitation import has_closed_form
from pose_perception.evaluation.imitation_motion import wandering
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.closed_form import ClosedForm
from pose_perception.imitation.joint_limits import JointLimits
from pose_perception.imitation.qp import QpSolver
from pose_perception.imitation.retargeting import Retargeter, RetargetingConfig
from pose_perception.imitation.robot import Robot, load_robot
from pose_perception.imitation.robot_config import robot_names
from pose_perception.imitation.target_filter import still
from pose_perception.imitation.targets import ArmTarget

_STEPS, _WARM_UP = 1500, 100


def main(names: list[str]) -> None:
    """Print the table of the robots with these names, of all without any."""
    print(
        "| robot | arms | pairs | qp, ms (99 %) | least squares | step | closed form |\n|---|---|---|---|---|---|---|"
    )
    for name in names or robot_names():
        robot = load_robot(name)
        capsules = load_capsules(name, robot.kinematics)
        motion = wandering(robot, np.arange(_STEPS) * 0.01, np.random.default_rng(0))
        goals = wandering(robot, np.arange(_STEPS) * 0.05, np.random.default_rng(1))
        cells = [
            _text(_qp_times(robot, name, motion, goals)),
            _text(_step_times(robot, name, goals, "least_squares")),
            _text(_step_times(robot, name, goals, "qp")),
            _text(_closed_form_times(robot, motion, goals)),
        ]
        print(f"| {name} | {len(robot.arms)} | {len(capsules.pairs)} | {' | '.join(cells)} |", flush=True)


def _targets(robot: Robot, q: FloatArray) -> dict[str, ArmTarget]:
    points = {arm: robot.points(q, arm) for arm in robot.arms}
    return {arm: ArmTarget(p.upper, p.forearm, p.tool[:3, :3]) for arm, p in points.items()}


def _qp_times(robot: Robot, name: str, motion: FloatArray, goals: FloatArray) -> list[float]:
    config = RetargetingConfig()
    solver = QpSolver(robot, load_capsules(name, robot.kinematics), config.tasks, config.qp)
    limits, zero = JointLimits(robot, config.step_s), np.zeros(len(robot.joints))
    times = []
    for q, goal in zip(motion, goals, strict=True):
        targets, bounds = still(_targets(robot, goal)), limits.bounds(q, zero)
        times.append(_time(lambda q=q, b=bounds, t=targets: solver.step(q, zero, b, t, robot.rest)))
    return times


def _step_times(robot: Robot, name: str, goals: FloatArray, solver: str) -> list[float]:
    config = RetargetingConfig(solver=solver)
    retargeter = Retargeter(robot, load_capsules(name, robot.kinematics), config)
    times = []
    for i, goal in enumerate(goals):
        if i % 3 == 0:
            retargeter.observe(i * config.step_s, _targets(robot, goal))
        times.append(_time(lambda i=i: retargeter.step(i * config.step_s)))
    return times


def _closed_form_times(robot: Robot, motion: FloatArray, goals: FloatArray) -> list[float]:
    arm = next(iter(robot.arms))
    if not has_closed_form(robot, arm):
        return []
    solver, own = ClosedForm(robot, arm), robot.arms[arm].joints
    times = []
    for q, goal in zip(motion, goals, strict=True):
        points = robot.points(goal, arm)
        tool = points.tool[:3, :3]
        times.append(_time(lambda q=q, p=points, t=tool: solver.solve(p.upper, p.forearm, t, q[own])))
    return times


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def _text(times: list[float]) -> str:
    if not times:
        return "none"
    kept = times[_WARM_UP:]
    return f"{np.median(kept):.2f} ({np.percentile(kept, 99):.2f})"


if __name__ == "__main__":
    main(sys.argv[1:])

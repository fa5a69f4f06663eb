"""The whole of imitation: people, joint states and a dead-man switch in, joint commands out, at the robot's rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from pose_perception.config import Config
from pose_perception.datatypes import FloatArray, Skeleton
from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.imitation.calibration import CalibrationConfig, CalibrationSession, PersonCalibration
from pose_perception.imitation.capsules import CapsuleModel
from pose_perception.imitation.command_guard import CommandGuard
from pose_perception.imitation.operator_check import OperatorCheck, OperatorConfig, Refusal
from pose_perception.imitation.retargeting import JointCommand, Retargeter, RetargetingConfig
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.steering import WristSteering
from pose_perception.imitation.supervisor import MOVING, JointReport, Reason, State, Supervisor
from pose_perception.imitation.supervisor_config import SupervisorConfig
from pose_perception.imitation.target_filter import TorsoFilter, torso_filter_config
from pose_perception.imitation.targets import ArmTarget, Calibration, Mapper, MappingConfig, body_arms
from pose_perception.imitation.workspace import Workspace, WorkspaceConfig

# Counted when somebody begins without it.
_OTHER_CALIBRATED = "operator is not the one who was calibrated"


@dataclass(frozen=True)
class ImitationConfig(Config):
    """Everything about imitation."""

    mapping: MappingConfig = field(default_factory=MappingConfig)
    operator: OperatorConfig = field(default_factory=OperatorConfig)
    retargeting: RetargetingConfig = field(default_factory=RetargetingConfig)
    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)
    workspace: WorkspaceConfig = field(default_factory=WorkspaceConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)


class Status(NamedTuple):
    """How imitation is going.

    Attributes:
        state: What it does.
        reason: What led to that.
        operator: Identifier of the person who is followed; empty without one.
        person_age_s: Time since the last believable image of them was taken; infinite without one.
        counts: How often something was refused, held or stopped, by its name.
        calibrated: Identifier of the person who was calibrated; empty without one.
    """

    state: State
    reason: str
    operator: str
    person_age_s: float
    counts: Mapping[str, int]
    calibrated: str = ""


class Imitator:
    """Moves a robot's arms after those of one person, as long as nothing speaks against it.

    All times are in seconds, on one clock: that of the stamps of the images.

    Attributes:
        supervisor: Knows the state.
        targets: What the last believable image asks of the arms, by name.
        calibrated: What corrects the directions of one person; None before somebody was calibrated.
    """

    def __init__(self, robot: Robot, capsules: CapsuleModel | None, config: ImitationConfig) -> None:
        """Start disabled.

        Args:
            robot: Whose arms move.
            capsules: Its shape, for distances; None does without them.
            config: Settings.

        Raises:
            ConfigurationError: the solver is not installed, or does not fit the robot or the mapping.
        """
        self._robot, self._config = robot, config
        self._mapper = Mapper(robot, config.mapping)
        if config.mapping.mode == "clutch" and config.retargeting.solver == "closed_form":
            raise ConfigurationError("the closed form follows bones: mapping.mode clutch needs another solver")
        self._steering: WristSteering | None = None
        self._sides = sorted({self._mapper.person_side(arm) for arm in robot.arms})
        self._check = OperatorCheck(config.operator, self._sides)
        self.calibrated: PersonCalibration | None = None
        self._calibration: CalibrationSession | None = None
        self._retargeter = Retargeter(robot, capsules, config.retargeting, Workspace(robot, config.workspace))
        self._guard = CommandGuard(robot, config.retargeting.step_s)
        self._torso = TorsoFilter(torso_filter_config())
        self.supervisor = Supervisor(config.supervisor, robot.lower, robot.upper)
        self._openings: Mapping[str, float] = {}
        self._people: tuple[float, Sequence[Skeleton], Sequence[str]] | None = None
        self._command: JointCommand | None = None
        self._refusals: Counter[str] = Counter()
        self._state = State.DISABLED  # of the last step
        self.targets: dict[str, ArmTarget] = {}

    @property
    def robot(self) -> Robot:
        """Whose arms move."""
        return self._robot

    def status(self, now_s: float) -> Status:
        """Return how it is going."""
        supervisor = self.supervisor
        age = now_s - supervisor.person_stamp_s if self._check.operator else math.inf
        counts = supervisor.counts + self._refusals
        calibrated = "" if self.calibrated is None else self.calibrated.person
        return Status(supervisor.state, supervisor.reason.value, self._check.operator, age, counts, calibrated)

    def take_people(
        self, stamp_s: float, now_s: float, skeletons: Sequence[Skeleton], keypoints: Sequence[str]
    ) -> Refusal | None:
        """Take in what one image shows; return why it does not count, if so.

        Args:
            stamp_s: When the image was taken.
            now_s: Now.
            skeletons: Everybody in it.
            keypoints: Names of their keypoints.
        """
        self._people = (stamp_s, skeletons, keypoints)
        if self._calibration is not None:
            self._calibration.see(stamp_s, skeletons, keypoints)
        if not self._check.operator:
            return None
        believed = self._check.check(stamp_s, now_s, skeletons, keypoints, self._config.supervisor.hold_after)
        if isinstance(believed, Refusal):
            self._refusals[believed.value] += 1
            return believed
        self.supervisor.see(stamp_s)
        arms = body_arms(self._torso.smooth(stamp_s, believed.person), keypoints)
        self.targets = (self._steering or self._mapper).targets({side: arms[side] for side in believed.sides})
        self._retargeter.observe(stamp_s, self.targets)
        return None

    def begin_calibration(self, now_s: float, config: CalibrationConfig) -> None:
        """Watch a person who holds a pose from now on."""
        self._calibration = CalibrationSession(now_s, config, self._config.operator, self._sides)

    def end_calibration(self, now_s: float) -> bool:
        """Return whether somebody was calibrated, as is known when the time to watch is over; until then they were not.

        Raises:
            InvalidInputError: the time is over, and nobody could be calibrated; what was before stays.
        """
        session = self._calibration
        if session is None or not session.is_over(now_s):
            return False
        self._calibration = None
        self.calibrated = PersonCalibration(session.person, session.result())
        return True

    def take_joints(self, stamp_s: float, now_s: float, q: FloatArray, velocity: FloatArray) -> None:
        """Take in what the robot says of itself.

        Args:
            stamp_s: When.
            now_s: Now; a stamp in the future counts as now.
            q: Joints with shape (n,), radians.
            velocity: Shape (n,), rad/s; NaN when it does not say.

        Raises:
            InvalidInputError: the joints are not n finite numbers.
        """
        if not math.isfinite(stamp_s):
            raise InvalidInputError(f"joint states need a finite stamp, got {stamp_s}")
        self.supervisor.report(JointReport(min(stamp_s, now_s), np.asarray(q, float), np.asarray(velocity, float)))

    def take_grippers(self, openings: Mapping[str, float]) -> None:
        """Take in measured openings of grippers by name of the arm, 0 closed to 1 open; what is not in it stays."""
        self._openings = {**self._openings, **openings}

    def take_deadman(self, now_s: float, is_pressed: bool) -> None:
        """Take in the dead-man switch."""
        self.supervisor.press(now_s, is_pressed)

    def enable(self, now_s: float) -> Reason | None:
        """Choose the operator and begin; return what speaks against it."""
        supervisor = self.supervisor
        if supervisor.state in (*MOVING, State.HOLDING):
            return None
        self._check.release()
        self._torso = TorsoFilter(torso_filter_config())
        has_person = False
        if self._people is not None:
            stamp_s, skeletons, _ = self._people
            age = now_s - stamp_s
            is_fresh = -self._config.operator.future_tolerance <= age <= self._config.supervisor.hold_after
            has_person = is_fresh and bool(self._check.choose(skeletons))
        if has_person:
            supervisor.see(self._people[0])  # type: ignore[index]
        refusal = supervisor.enable(now_s, has_person)
        if refusal is not None:
            self._check.release()
            return refusal
        assert supervisor.joints is not None
        self._mapper = Mapper(self._robot, self._config.mapping, self._calibration_of(self._check.operator))
        if self._config.mapping.mode == "clutch":
            self._steering = WristSteering(self._robot, self._config.mapping, self._mapper)
        if not self._is_moving:
            self._retargeter.reset(supervisor.joints.q)
        self._retargeter.reset_grippers(self._openings)
        self._command = None
        return None

    def step(self, now_s: float) -> JointCommand | None:
        """Return the next command, a `step_s` after the last; None when the robot is to be left alone.

        What was moving when imitation was held or ended is brought to rest.
        """
        supervisor = self.supervisor
        before, self._state = self._state, supervisor.update(now_s, None if self._command is None else self._command.q)
        if self._state in MOVING:
            if before == State.HOLDING and not self._is_moving and supervisor.joints is not None:
                # What held the robot may have moved it.
                self._retargeter.reset(supervisor.joints.q)
                self._command = None
            if self._steering is not None and before not in MOVING and supervisor.joints is not None:
                # Wrists are taken up anew where the robot is told to be; what was asked for before does not count.
                self._retargeter.let_go()
                self._steering.restart(supervisor.joints.q if self._command is None else self._command.q)
            self._retargeter.limit_speed(supervisor.speed(now_s))
        elif not self._is_moving:
            self._end_if_disabled()
            return None
        else:
            self._retargeter.let_go()
        command = self._retargeter.step(now_s)
        if not self._guard.accepts(command, self._command):
            supervisor.fail(Reason.WRONG_COMMAND)
            self._command = None
            return None
        self._command = command
        return command

    def coast(self, seconds: float, stays: bool) -> None:
        """Take in that commands were late, so that the robot went on without them.

        Args:
            seconds: How late.
            stays: Whether it stopped at the last command, as it does that gets nothing but positions; otherwise it went
                along `stop_path`.
        """
        if self._command is None or not self._is_moving:
            return
        if stays:
            self._retargeter.halt()
            self._command = replace(self._command, velocity=np.zeros_like(self._command.velocity))
        else:
            q, velocity = self._retargeter.coast(seconds)
            self._command = replace(self._command, q=q, velocity=velocity)

    def forget_times(self) -> None:
        """End, and forget all that came with a time, because the clock was set back; a fault stays one."""
        self.supervisor.forget_times()
        self._check.forget_times()
        self._people = self._calibration = None

    def stop_path(self, samples: int = 5) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return how the robot comes to rest from the last command: times, joints and velocities, (S,) and (S, n)."""
        return self._retargeter.stop_path(samples)

    def _calibration_of(self, person: str) -> Calibration | None:
        if self.calibrated is None:
            return None
        if self.calibrated.person != person:
            # Another body, or the same under another name: what was measured is not known to hold.
            self._refusals[_OTHER_CALIBRATED] += 1
            return None
        return self.calibrated.calibration

    @property
    def _is_moving(self) -> bool:
        return self._command is not None and self._command.is_moving

    def _end_if_disabled(self) -> None:
        if self.supervisor.state in (State.DISABLED, State.FAULT):
            self._check.release()
            self._command = None

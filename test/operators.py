"""A person whose arms point where a robot's should, a robot that follows, and imitation between them: for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pose_perception.datatypes import FloatArray, Skeleton
from pose_perception.evaluation.imitation_motion import robot_as_person, skeleton_of
from pose_perception.human.topology import COCO_17
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.imitator import ImitationConfig, Imitator
from pose_perception.imitation.retargeting import JointCommand
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.supervisor import State

KEYPOINTS = COCO_17.keypoints
CAMERA_HZ, ROBOT_HZ = 15, 100


def swaying(robot: Robot, amplitude: float = 0.25, rate_hz: float = 0.3) -> Callable[[float], FloatArray]:
    """Return joints over time that a person stands for."""

    def joints(time_s: float) -> FloatArray:
        phases = np.arange(len(robot.joints))
        q = robot.rest + amplitude * np.sin(2 * np.pi * rate_hz * time_s + phases) * (phases % 3 < 2)
        return np.clip(q, robot.lower + 0.1, robot.upper - 0.1)

    return joints


# Directions in the frame of a person's torso: forward, to the left, up.
FORWARD, LEFT, UP = np.eye(3)
T_POSE = {"left": (LEFT, LEFT), "right": (-LEFT, -LEFT)}
N_POSE = {"left": (-UP, -UP), "right": (-UP, -UP)}


def posed(person: Skeleton, arms: Mapping[str, tuple[FloatArray, FloatArray]]) -> Skeleton:
    """Return somebody whose upper arms and forearms, by side, point into other directions in the torso."""
    positions, turn = person.positions.copy(), person.camera_from_torso[:3, :3]
    for side, (upper, forearm) in arms.items():
        shoulder, elbow, wrist = (COCO_17.index[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
        positions[elbow] = positions[shoulder] + 0.3 * turn @ upper
        positions[wrist] = positions[elbow] + 0.25 * turn @ forearm
    return replace(person, positions=positions)


@dataclass
class Session:
    """Imitation at the robot's rate, with a camera at its own.

    Attributes:
        robot: Whose arms move.
        pose: Joints that the person stands for, at a time.
        config: Of imitation.
        q: Where the robot is.
        delay_s: Age of an image when it comes.
        noise_m: Of the person's joints.
        see: Changes what the camera sees: takes stamp and skeletons, returns the same; None changes nothing.
        is_pressed: The dead-man switch; None says nothing.
        has_joints: Whether the robot says where it is.
        follows: Whether it follows its commands.
        time_s: Now.
        commands: All so far, with their times.
        states: The states so far.
    """

    robot: Robot
    pose: Callable[[float], FloatArray]
    config: ImitationConfig = field(default_factory=ImitationConfig)
    delay_s: float = 0.05
    noise_m: float = 0.003
    see: Callable[[float, list[Skeleton]], tuple[float, list[Skeleton]]] | None = None
    is_pressed: bool | None = True
    has_joints: bool = True
    follows: bool = True

    def __post_init__(self) -> None:
        self.imitator = Imitator(self.robot, load_capsules(self.robot.config.name, self.robot.kinematics), self.config)
        self.q = self.robot.rest.copy()
        self.velocity = np.zeros_like(self.q)
        self.time_s = 100.0
        self.commands: list[tuple[float, JointCommand]] = []
        self.states: list[State] = []
        self._rng = np.random.default_rng(0)
        self._ticks = 0

    def person(self, time_s: float) -> Skeleton:
        """Return the operator as the camera sees them."""
        points = robot_as_person(self.robot, self.pose(time_s))
        return skeleton_of({name: p + self._rng.normal(0, self.noise_m, 3) for name, p in points.items()})

    def run(self, seconds: float) -> State:
        """Go on for some seconds and return the state then."""
        for _ in range(round(seconds * ROBOT_HZ)):
            self.step()
        return self.states[-1]

    def step(self) -> None:
        """Go on by one command."""
        self.time_s += 1 / ROBOT_HZ
        if self._ticks % 5 == 0 and self.is_pressed is not None:
            self.imitator.take_deadman(self.time_s, self.is_pressed)
        if self.has_joints:
            self.imitator.take_joints(self.time_s, self.time_s, self.q, self.velocity)
        if self._ticks % round(ROBOT_HZ / CAMERA_HZ) == 0:
            stamp_s = self.time_s - self.delay_s
            people = [self.person(stamp_s)]
            if self.see is not None:
                stamp_s, people = self.see(stamp_s, people)
            self.imitator.take_people(stamp_s, self.time_s, people, KEYPOINTS)
        self._ticks += 1
        command = self.imitator.step(self.time_s)
        self.velocity = np.zeros_like(self.q)
        if command is not None:
            self.commands.append((self.time_s, command))
            if self.follows:
                self.velocity, self.q = command.velocity, command.q
        self.states.append(self.imitator.supervisor.state)

    def start(self) -> State:
        """Press the dead-man switch anew, enable, and return the state once the ramp is over."""
        held, self.is_pressed = self.is_pressed, False
        self.run(0.2)
        self.is_pressed = held
        self.run(0.3)
        refusal = self.imitator.enable(self.time_s)
        assert refusal is None, refusal
        return self.run(self.config.supervisor.ramp + 0.5)

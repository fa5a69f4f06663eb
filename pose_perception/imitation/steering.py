"""Steering by the wrist: a robot's wrists move as those of a person do, from where both were when the clutch closed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.robot import Robot
from pose_perception.imitation.targets import ArmTarget, BodyArm, Mapper, MappingConfig


class Clutch:
    """Wrist motion relative to where it was when the clutch closed: the second way to steer a robot.

    The wrist of the robot moves from where it was then as the wrist of the person does, times a scale, and turns as the
    palm does: position home + s (p - p0), rotation (R R0⁻¹) home.
    """

    def __init__(self, scale: float = 1.0) -> None:
        """Start open.

        Args:
            scale: Motion of the robot's wrist over that of the person's.

        Raises:
            ConfigurationError: the scale is not positive.
        """
        if not (scale > 0 and math.isfinite(scale)):
            raise ConfigurationError(f"clutch scale must be positive, got {scale}")
        self._scale = scale
        self._latched: tuple[FloatArray, FloatArray | None, FloatArray, FloatArray] | None = None

    def close(self, wrist: FloatArray, palm: FloatArray | None, home: FloatArray, home_tool: FloatArray) -> None:
        """Latch the references.

        Args:
            wrist: Of the person in the axes of the robot's base, shape (3,), metres.
            palm: Rotation of the palm in the same axes, shape (3, 3); None leaves the tool's orientation alone.
            home: Wrist of the robot in the base, shape (3,), metres.
            home_tool: Rotation of its tool, shape (3, 3).
        """
        self._latched = (wrist.copy(), None if palm is None else palm.copy(), home.copy(), home_tool.copy())

    def open(self) -> None:
        """Let go: there are no targets until it closes again."""
        self._latched = None

    def target(self, wrist: FloatArray | None, palm: FloatArray | None, opening: float = math.nan) -> ArmTarget:
        """Return the target for where the person's wrist is now; an empty one while the clutch is open."""
        if self._latched is None:
            return ArmTarget()
        wrist_0, palm_0, home, home_tool = self._latched
        position = None if wrist is None else home + self._scale * (wrist - wrist_0)
        tool = None if palm is None or palm_0 is None else palm @ palm_0.T @ home_tool
        return replace(ArmTarget(), wrist=position, tool=tool, opening=opening)


class WristSteering:
    """Closes a clutch for each arm as soon as its wrist is seen, and anew whenever imitation begins or goes on."""

    def __init__(self, robot: Robot, config: MappingConfig, mapper: Mapper) -> None:
        """Start with open clutches.

        Args:
            robot: That is steered.
            config: Settings.
            mapper: Turns vectors of the person into the robot's base.
        """
        self._robot, self._mapper = robot, mapper
        self._clutches = {name: Clutch(config.clutch_scale) for name in robot.arms}
        self._home: FloatArray | None = None
        self._closed: set[str] = set()

    def restart(self, q: FloatArray) -> None:
        """Open the clutches, and close them with what is seen next, where the robot is: joints with shape (n,)."""
        self._home = q.copy()
        self._closed.clear()

    def targets(self, body: Mapping[str, BodyArm]) -> dict[str, ArmTarget]:
        """Return the target of each arm of the robot, of arms of the person by side as `body_arms` returns them."""
        return {name: self._target(name, body.get(self._mapper.person_side(name))) for name in self._robot.arms}

    def _target(self, name: str, body: BodyArm | None) -> ArmTarget:
        if body is None or self._home is None:
            return ArmTarget()
        turn, palm, opening = self._mapper.turn(name), self._mapper.palm(name, body), self._mapper.opening(body)
        # From the shoulder, so that nothing moves when the person walks.
        wrist = None if body.upper is None or body.forearm is None else turn @ (body.upper + body.forearm)
        if name not in self._closed:
            if wrist is None:
                return ArmTarget()
            points = self._robot.points(self._home, name)
            self._clutches[name].close(wrist, palm, points.wrist, points.tool[:3, :3])
            self._closed.add(name)
        return self._clutches[name].target(wrist, palm, opening)

"""Where tools may be and how fast they may move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.errors import ConfigurationError
from pose_perception.imitation.robot import Robot, arm_points

# Arms that brake joint by joint may move their tools a little faster for a moment.
MARGIN = 0.9


@dataclass(frozen=True)
class WorkspaceConfig(Config):
    """Where tools may be, in the frame of the robot's base, and how fast they may move."""

    tool_speed: float = option(0.25, "Largest speed of tools and wrists, in m/s.", minimum=0.01, maximum=5)
    min_x: float = option(-10.0, "Tools and wrists do not leave this box, in metres.", minimum=-100.0, maximum=100.0)
    max_x: float = option(10.0, "Its other end along x, in metres.", minimum=-100.0, maximum=100.0)
    min_y: float = option(-10.0, "Its end along y, in metres.", minimum=-100.0, maximum=100.0)
    max_y: float = option(10.0, "Its other end along y, in metres.", minimum=-100.0, maximum=100.0)
    min_z: float = option(-10.0, "Its end along z, in metres.", minimum=-100.0, maximum=100.0)
    max_z: float = option(10.0, "Its other end along z, in metres.", minimum=-100.0, maximum=100.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for axis in "xyz":
            if not getattr(self, f"min_{axis}") < getattr(self, f"max_{axis}"):
                raise ConfigurationError(f"WorkspaceConfig.min_{axis} must be smaller than max_{axis}")


class Workspace:
    """Keeps tools and wrists slow and inside of a box."""

    def __init__(self, robot: Robot, config: WorkspaceConfig) -> None:
        self._robot, self._speed = robot, MARGIN * config.tool_speed
        self._low = np.array([config.min_x, config.min_y, config.min_z])
        self._high = np.array([config.max_x, config.max_y, config.max_z])

    def slow(self, q: FloatArray, velocity: FloatArray, brake: FloatArray) -> FloatArray:
        """Return the velocity nearest to a wanted one, on the way to braking, that is slow enough.

        Both ends keep the limits of the joints, so everything between them does.

        Args:
            q: Joints with shape (n,), radians.
            velocity: Wanted, shape (n,), rad/s.
            brake: The slowest that is possible, shape (n,), rad/s.
        """
        kinematics = self._robot.kinematics
        bodies = kinematics.bodies(q)
        axes = kinematics.axes(bodies)
        share = 1.0
        for arm in self._robot.arms.values():
            points = arm_points(arm, bodies)
            for body, place in ((arm.wrist.body, points.wrist), (arm.tool.body, points.tool[:3, 3])):
                jacobian = kinematics.point_jacobian(axes, body, place)
                share = min(share, _largest_share(jacobian @ brake, jacobian @ (velocity - brake), self._speed))
        return brake + share * (velocity - brake)

    def contains(self, bodies: FloatArray) -> bool:
        """Return whether tools and wrists stay in the box, or come nearer to it, on a way.

        Args:
            bodies: Poses of the bodies at S moments, shape (S, n + 1, 4, 4).
        """
        for arm in self._robot.arms.values():
            points = arm_points(arm, bodies)
            for way in (points.wrist, points.tool[..., :3, 3]):
                outside = np.maximum(np.maximum(self._low - way, way - self._high), 0.0)
                if (outside[1:] > outside[0] + 1e-9).any():
                    return False
        return True


def _largest_share(start: FloatArray, change: FloatArray, speed: float) -> float:
    """Return the largest s in 0 to 1 with |start + s change| <= speed; 0 when there is none."""
    a, b, c = float(change @ change), float(start @ change), float(start @ start) - speed**2
    if a + 2 * b + c <= 0:
        return 1.0
    if c > 0 or a == 0:
        return 0.0
    return float(np.clip((-b + np.sqrt(b * b - a * c)) / a, 0.0, 1.0))

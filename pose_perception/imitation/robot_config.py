"""What `config/robots/<name>.yaml` says of a robot: which frames are shoulder, elbow and wrist, and its own limits.

    urdf: panda_description/urdf/panda.urdf     # below the robots of the PyPI package example-robot-data
    base: panda_link0                           # frame of all targets
    base_from_torso_deg: [0, 0, 0]              # roll, pitch, yaw of the person's torso (x forward, y left, z up)
    locked: {torso_lift_joint: 0.1}             # joints that do not imitate, where not 0 (radians, metres)
    arms:
      right:                                    # and `left`; `single` for a robot that has one
        joints: [...]
        shoulder: panda_link2                   # a frame, or [frame, x, y, z] with an offset in metres
        elbow: panda_link4
        wrist: panda_link6
        tool: panda_hand_tcp
        palm_from_tool_deg: [0, 90, 0]          # roll, pitch, yaw; the palm: x to the fingers, z out of its back
        gripper: {joint: panda_finger_joint1, open: 0.04, closed: 0.0}
        rest: [...]                             # rad
        lower: [...]                            # rad, where tighter than the description; null for its own
        upper: [...]
        velocity: [...]                         # rad/s, one number for all joints or one each
        acceleration: [...]                     # rad/s²

Its capsules for self-collisions are in `config/robots/capsules/<name>.yaml` (see `capsules.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from pose_perception.errors import ConfigurationError

SIDES = ("left", "right", "single")
_KEYS = {"urdf", "base", "base_from_torso_deg", "locked", "arms"}
_ARM_NEEDS = {"joints", "shoulder", "elbow", "wrist", "tool", "rest", "velocity", "acceleration"}
_ARM_KEYS = _ARM_NEEDS | {"palm_from_tool_deg", "gripper", "lower", "upper"}

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class PointConfig:
    """A point of the robot: a frame (a link's name) and an offset along its axes, metres."""

    frame: str
    at: Numbers


@dataclass(frozen=True)
class GripperConfig:
    """A gripper's joint and its positions when open and closed, radians or metres."""

    joint: str
    open: float
    closed: float


@dataclass(frozen=True)
class ArmConfig:
    """One arm of a robot with n joints; see the head of this file.

    Attributes:
        joints: Names, from the base outwards.
        shoulder, elbow, wrist: Points between which upper arm and forearm are.
        tool: Frame that takes the orientation of the palm.
        palm_from_tool_rad: Roll, pitch and yaw.
        gripper: None without one.
        rest_rad, lower_rad, upper_rad, velocity_rad_s, acceleration_rad_s2: n numbers each.
    """

    joints: tuple[str, ...]
    shoulder: PointConfig
    elbow: PointConfig
    wrist: PointConfig
    tool: str
    palm_from_tool_rad: Numbers
    gripper: GripperConfig | None
    rest_rad: Numbers
    lower_rad: Numbers
    upper_rad: Numbers
    velocity_rad_s: Numbers
    acceleration_rad_s2: Numbers


@dataclass(frozen=True)
class RobotConfig:
    """A robot; see the head of this file.

    Attributes:
        name: As its file.
        urdf: Path below the robots of example-robot-data.
        base: Frame of all targets.
        base_from_torso_rad: Roll, pitch and yaw of the torso.
        locked: Positions of joints that do not imitate, radians or metres.
        arms: By `left` and `right`, or `single`.
    """

    name: str
    urdf: str
    base: str
    base_from_torso_rad: Numbers
    locked: Mapping[str, float]
    arms: Mapping[str, ArmConfig]


def robots_folder() -> Path:
    """Return `config/robots` of the source tree or of the installed package.

    Raises:
        ConfigurationError: it is in neither place.
    """
    package = Path(__file__).absolute().parents[1]
    candidates = [package.parent / "config" / "robots"]  # source tree
    # Installed: <prefix>/lib/python3.X/site-packages/pose_perception, on Debian also below <prefix>/local.
    candidates += [parent / "share" / "pose_perception" / "config" / "robots" for parent in package.parents]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise ConfigurationError(f"config/robots is missing: neither {candidates[0]} nor installed; reinstall")


def robot_names() -> tuple[str, ...]:
    """Return the names of the robots that can be asked for."""
    return tuple(sorted(path.stem for path in robots_folder().glob("*.yaml")))


def load_config(name: str) -> RobotConfig:
    """Return the configuration of a robot.

    Raises:
        ConfigurationError: there is no such robot (the message lists those that there are), or its file is wrong.
    """
    if name not in robot_names():
        raise ConfigurationError(f"there is no robot {name!r}; choose one of {', '.join(robot_names())}")
    path = robots_folder() / f"{name}.yaml"
    try:
        return parse_config(name, yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is no YAML: {error}") from error


def parse_config(name: str, content: Any) -> RobotConfig:
    """Return the configuration that a YAML file holds.

    Raises:
        ConfigurationError: a key is missing, unknown, or has a value that does not fit.
    """
    where = f"robot {name}"
    _check_keys(content, _KEYS, {"urdf", "base", "arms"}, where)
    arms = content["arms"]
    if not isinstance(arms, dict) or set(arms) not in ({"left", "right"}, {"single"}, {"left"}, {"right"}):
        raise ConfigurationError(f"{where}: arms must be left and right, or single; got {arms and list(arms)}")
    return RobotConfig(
        name,
        str(content["urdf"]),
        str(content["base"]),
        _degrees(content.get("base_from_torso_deg", (0, 0, 0)), f"{where}: base_from_torso_deg"),
        {str(joint): float(position) for joint, position in (content.get("locked") or {}).items()},
        {side: _arm(arm, f"{where}, arm {side}") for side, arm in arms.items()},
    )


def description_path(urdf: str) -> Path:
    """Return a robot description of the PyPI package example-robot-data.

    Args:
        urdf: Path below its folder `robots`.

    Raises:
        ConfigurationError: the package is not installed, or has no such file.
    """
    try:
        package = metadata.distribution("example-robot-data")
    except metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            "the robot descriptions are not installed: pip install example-robot-data, or give the description as text"
        ) from error
    folder = Path(str(package.locate_file("cmeel.prefix/share/example-robot-data/robots")))
    if not (folder / urdf).is_file():
        there_are = sorted(path.name for path in folder.glob("*") if path.is_dir())
        raise ConfigurationError(f"example-robot-data has no {urdf}; it has {', '.join(there_are)}")
    return folder / urdf


def _arm(content: Any, where: str) -> ArmConfig:
    _check_keys(content, _ARM_KEYS, _ARM_NEEDS, where)
    joints = content["joints"]
    if not isinstance(joints, list) or len(set(joints)) != len(joints) or not joints:
        raise ConfigurationError(f"{where}: joints must be a list of different names, got {joints!r}")

    def numbers(key: str, missing: float, positive: bool = False) -> Numbers:
        return _numbers(content.get(key), len(joints), missing, f"{where}: {key}", positive)

    return ArmConfig(
        tuple(map(str, joints)),
        *(_point(content[key], f"{where}: {key}") for key in ("shoulder", "elbow", "wrist")),
        tool=str(content["tool"]),
        palm_from_tool_rad=_degrees(content.get("palm_from_tool_deg", (0, 0, 0)), f"{where}: palm_from_tool_deg"),
        gripper=_gripper(content.get("gripper"), f"{where}: gripper"),
        rest_rad=numbers("rest", 0.0),
        lower_rad=numbers("lower", -math.inf),
        upper_rad=numbers("upper", math.inf),
        velocity_rad_s=numbers("velocity", math.nan, positive=True),
        acceleration_rad_s2=numbers("acceleration", math.nan, positive=True),
    )


def _check_keys(content: Any, known: set[str], needed: set[str], where: str) -> None:
    if not isinstance(content, dict):
        raise ConfigurationError(f"{where} must be a mapping, got {type(content).__name__}")
    if set(content) - known:
        raise ConfigurationError(f"{where}: unknown {sorted(set(content) - known)}; known are {sorted(known)}")
    if needed - set(content):
        raise ConfigurationError(f"{where} lacks {sorted(needed - set(content))}")


def _point(content: Any, where: str) -> PointConfig:
    if isinstance(content, str):
        return PointConfig(content, (0.0, 0.0, 0.0))
    if not isinstance(content, list) or len(content) != 4 or not isinstance(content[0], str):
        raise ConfigurationError(f"{where} must be a frame or [frame, x, y, z], got {content!r}")
    return PointConfig(content[0], _numbers(content[1:], 3, 0.0, where))


def _gripper(content: Any, where: str) -> GripperConfig | None:
    if content is None:
        return None
    keys = {"joint", "open", "closed"}
    _check_keys(content, keys, keys, where)
    return GripperConfig(str(content["joint"]), *_numbers([content["open"], content["closed"]], 2, 0.0, where))


def _degrees(content: Any, where: str) -> Numbers:
    return tuple(math.radians(angle) for angle in _numbers(content, 3, 0.0, where))


def _numbers(content: Any, count: int, missing: float, where: str, positive: bool = False) -> Numbers:
    """Return numbers of a YAML file: one for all, or one each, of which null means that there is none."""
    items = list(content) if isinstance(content, (list, tuple)) else [content] * count
    if len(items) != count:
        raise ConfigurationError(f"{where} must be {count} numbers, got {len(items)}")
    for item in items:
        is_number = isinstance(item, (int, float)) and not isinstance(item, bool)
        if item is not None and not (is_number and math.isfinite(item)):
            raise ConfigurationError(f"{where} must hold finite numbers, got {item!r}")
    values = tuple(missing if item is None else float(item) for item in items)
    if positive and not all(value > 0 for value in values):
        raise ConfigurationError(f"{where} must be positive, got {content!r}")
    return values

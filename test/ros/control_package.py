"""The part of control_msgs that replays need, built from its definitions where it is not installed."""

from __future__ import annotations

import importlib

# github.com/ros-controls/control_msgs, action/ and msg/.
_POINT = "trajectory_msgs/JointTrajectoryPoint"
_FILES = {
    "msg/JointTolerance.msg": ("string name", "float64 position", "float64 velocity", "float64 acceleration"),
    "action/FollowJointTrajectory.action": (
        "trajectory_msgs/JointTrajectory trajectory",
        "JointTolerance[] path_tolerance",
        "JointTolerance[] goal_tolerance",
        "builtin_interfaces/Duration goal_time_tolerance",
        "---",
        "int32 error_code",
        "int32 SUCCESSFUL = 0",
        "int32 PATH_TOLERANCE_VIOLATED = -4",
        "string error_string",
        "---",
        "std_msgs/Header header",
        "string[] joint_names",
        *(f"{_POINT} {name}" for name in ("desired", "actual", "error")),
    ),
}
_NEEDS = ["builtin_interfaces", "std_msgs", "trajectory_msgs", "action_msgs"]


def environment_with_control_msgs() -> dict[str, str]:
    """Return an environment for processes that can import control_msgs; half a minute when it has to be built."""
    return importlib.import_module("interface_package").environment_with("control_msgs", _NEEDS, _FILES)

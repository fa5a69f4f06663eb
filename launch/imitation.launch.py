"""Start the node imitation for skeletons that come already; a simulated robot on demand."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

_SHARE = Path(get_package_share_directory("pose_perception"))
# What may be said here instead of in the file of parameters. Empty leaves the file's value.
_PARAMETERS = ("robot", "output", "base_from_torso_deg")
# The node's names of topics, and the arguments that rename them.
_TOPICS = {
    "skeletons": "skeletons",
    "joint_states": "joint_states",
    "robot_description": "robot_description",
    "~/deadman": "deadman",
    "~/joint_trajectory": "joint_trajectory",
    "~/commands": "commands",
    "~/follow_joint_trajectory": "follow_joint_trajectory",
    "~/object": "object",
}
# Where the topics of each gripper are, below which it takes a trajectory or positions as an arm does.
_GRIPPERS = ("single_gripper", "left_gripper", "right_gripper")
_GRIPPER_TOPICS = ("joint_trajectory", "commands")


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("robot", default_value="", description="Name of a file in config/robots"),
            DeclareLaunchArgument(
                "output",
                default_value="",
                description="preview (no robot moves), joint_trajectory, float64_multi_array",
            ),
            DeclareLaunchArgument(
                "simulated", default_value="false", description="Start a simulated robot that follows the commands"
            ),
            DeclareLaunchArgument(
                "base_from_torso_deg", default_value="", description="Roll, pitch, yaw of the torso in the robot's base"
            ),
            DeclareLaunchArgument(
                "skeletons", default_value="human_pose/skeletons", description="Topic of the skeletons"
            ),
            DeclareLaunchArgument("joint_states", default_value="joint_states", description="Topic of the robot"),
            DeclareLaunchArgument(
                "robot_description", default_value="robot_description", description="Topic of the robot's description"
            ),
            DeclareLaunchArgument(
                "deadman", default_value="imitation/deadman", description="Topic of the dead-man switch"
            ),
            DeclareLaunchArgument(
                "joint_trajectory",
                default_value="imitation/joint_trajectory",
                description="Topic of a joint trajectory controller",
            ),
            DeclareLaunchArgument(
                "commands", default_value="imitation/commands", description="Topic of a forward position controller"
            ),
            DeclareLaunchArgument(
                "follow_joint_trajectory",
                default_value="imitation/follow_joint_trajectory",
                description="Action of a joint trajectory controller, for replays with replay.output action",
            ),
            DeclareLaunchArgument(
                "object", default_value="imitation/object", description="Topic of the object that a movement goes to"
            ),
            *(
                DeclareLaunchArgument(
                    name, default_value=f"imitation/{name}", description="Controller of this gripper, if there is one"
                )
                for name in _GRIPPERS
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(_SHARE / "config" / "imitation.yaml"),
                description="Parameters of the node; the arguments above come before it",
            ),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of the nodes"),
            DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error"),
            OpaqueFunction(function=_start),
        ]
    )


def _start(context: LaunchContext) -> list[Node]:
    values = {name: LaunchConfiguration(name).perform(context) for name in (*_PARAMETERS, *_TOPICS.values())}
    simulated = LaunchConfiguration("simulated").perform(context).lower()
    if simulated not in ("true", "false"):
        raise ValueError(f"simulated is true or false, got {simulated!r}")
    overrides = {name: values[name] for name in _PARAMETERS if values[name]}
    grippers = {f"{name}/{topic}": f"{name}/{topic}" for name in _GRIPPERS for topic in _GRIPPER_TOPICS}
    for name in _GRIPPERS:
        controller = LaunchConfiguration(name).perform(context)
        values |= {f"{name}/{topic}": f"{controller}/{topic}" for topic in _GRIPPER_TOPICS}
    own = {**_TOPICS, **{f"~/{topic}": topic for topic in grippers}}
    nodes = [_node("imitation", [LaunchConfiguration("params_file"), overrides], own, values)]
    if simulated == "true":
        topics = {name: name for name in ("joint_trajectory", "commands", "joint_states", "robot_description")}
        topics |= grippers
        robot = {name: value for name, value in overrides.items() if name == "robot"}
        parameters = [str(_SHARE / "config" / "simulated_robot.yaml"), robot]
        nodes.append(_node("simulated_robot", parameters, topics, values))
    return nodes


def _node(executable: str, parameters: list, topics: dict[str, str], values: dict[str, str]) -> Node:
    profile = str(_SHARE / "config" / "fastdds_shared_memory.xml")
    return Node(
        package="pose_perception",
        executable=executable,
        name=executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=parameters,
        remappings=[(topic, values[argument]) for topic, argument in topics.items()],
        additional_env={
            "FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE", default_value=profile
            )
        },
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )

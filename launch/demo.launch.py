"""Start a camera of simulated or recorded people, and human_pose; RViz on demand."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

_SHARE = Path(get_package_share_directory("pose_perception"))
_PASSED_ON = (
    "namespace",
    "compressed",
    "device",
    "estimator",
    "network_file",
    "decoding",
    "grouping",
    "detect_every",
    "publish_tf",
    "rep155",
    "params_file",
    "log_level",
)
_BAG_TOPICS = ("color_topic", "depth_topic", "camera_info_topic")


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes."""
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(_SHARE / "launch" / "human_pose.launch.py")),
        launch_arguments={name: LaunchConfiguration(name) for name in _PASSED_ON}.items(),
    )
    viewer = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(_SHARE / "config" / "rviz" / "human_pose.rviz")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "folder", default_value="", description="Play color/, depth/, camera.json of a folder"
            ),
            DeclareLaunchArgument("bag", default_value="", description="Play an MCAP bag"),
            *(
                DeclareLaunchArgument(name, default_value="", description="Topic of the bag; found by type when empty")
                for name in _BAG_TOPICS
            ),
            DeclareLaunchArgument(
                "compressed", default_value="", description="Whether colour in the bag is compressed"
            ),
            DeclareLaunchArgument("rate_hz", default_value="15.0", description="Images a second, not for bags"),
            DeclareLaunchArgument("loop", default_value="true", description="Play again at the end, or end the demo"),
            DeclareLaunchArgument("rviz", default_value="false", description="Show it in RViz"),
            DeclareLaunchArgument("device", default_value="", description="auto, cuda or cpu"),
            DeclareLaunchArgument("estimator", default_value="", description="Keypoint estimator"),
            DeclareLaunchArgument(
                "network_file", default_value="", description="Trained network that you bring, for onnx and others"
            ),
            DeclareLaunchArgument("decoding", default_value="", description="What the results of the ONNX file mean"),
            DeclareLaunchArgument("grouping", default_value="", description="Of deepcut: fast or exact"),
            DeclareLaunchArgument(
                "detect_every", default_value="", description="Search the whole image every so many frames"
            ),
            DeclareLaunchArgument("publish_tf", default_value="true", description="Publish TF frames body_<id>"),
            DeclareLaunchArgument(
                "rep155", default_value="", description="Publish /humans/bodies and TF of limbs, as REP-155 says"
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(_SHARE / "config" / "human_pose.yaml"),
                description="Parameters of human_pose",
            ),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of the nodes and their topics"),
            DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error"),
            OpaqueFunction(function=_start_camera),
            perception,
            viewer,
        ]
    )


def _start_camera(context: LaunchContext) -> list[Node]:
    folder, bag = (LaunchConfiguration(name).perform(context) for name in ("folder", "bag"))
    rate_hz = float(LaunchConfiguration("rate_hz").perform(context))
    executable, parameters = "simulated_camera", {"rate_hz": rate_hz}
    if folder or bag:
        loop = LaunchConfiguration("loop").perform(context).lower() == "true"
        executable = "rgbd_player"
        topics = {name: LaunchConfiguration(name).perform(context) for name in _BAG_TOPICS}
        parameters = {
            "rate_hz": rate_hz,
            "folder": folder,
            "bag": bag,
            "loop": loop,
            "wait_for_subscribers": 1,
            **topics,
        }
    profile = str(_SHARE / "config" / "fastdds_shared_memory.xml")
    camera = Node(
        package="pose_perception",
        executable=executable,
        name=executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=[str(_SHARE / "config" / f"{executable}.yaml"), parameters],
        additional_env={
            "FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE", default_value=profile
            )
        },
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
        on_exit=Shutdown(reason="the camera has ended"),
    )
    return [camera]

"""Start the node human_pose for a camera that publishes already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

_SHARE = Path(get_package_share_directory("pose_perception"))
# What may be said here instead of in the file of parameters, and its type. Empty leaves the file's value.
_PARAMETERS = {
    "device": str,
    "estimator": str,
    "network_file": str,
    "decoding": str,
    "grouping": str,
    "detect_every": int,
    "turn_clockwise": int,
    "turn_by_gravity": bool,
    "hands": bool,
    "head_pose": bool,
    "face_landmarks": bool,
    "publish_tf": bool,
    "rep155": bool,
    "compressed": bool,
    "fixed_frame": str,
}
# The parameters of which the argument is only the end of the name.
_FULL_NAMES = {
    "network_file": "estimation.network_file",
    "decoding": "estimation.decoding",
    "grouping": "estimation.grouping",
    "hands": "hands.enabled",
    "head_pose": "face.head_pose",
    "face_landmarks": "face.landmarks",
    "compressed": "input.compressed",
    "fixed_frame": "input.fixed_frame",
}
_TOPICS = {
    "color/image": "color_image",
    "color/camera_info": "color_camera_info",
    "depth/image": "depth_image",
    "depth/camera_info": "depth_camera_info",
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("color_image", default_value="color/image", description="Topic of the colour images"),
            DeclareLaunchArgument(
                "color_camera_info", default_value="color/camera_info", description="Topic of the colour camera"
            ),
            DeclareLaunchArgument("depth_image", default_value="depth/image", description="Topic of the depth images"),
            DeclareLaunchArgument(
                "depth_camera_info",
                default_value="depth/camera_info",
                description="Topic of the depth camera, for depth that is not aligned with colour",
            ),
            DeclareLaunchArgument("compressed", default_value="", description="Whether color_image is compressed"),
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
            DeclareLaunchArgument(
                "turn_clockwise", default_value="", description="Degrees until images are upright: 0, 90, 180 or 270"
            ),
            DeclareLaunchArgument(
                "turn_by_gravity", default_value="", description="Turn images by the camera's pose in fixed_frame"
            ),
            DeclareLaunchArgument("hands", default_value="", description="Find the 21 landmarks of each hand"),
            DeclareLaunchArgument("head_pose", default_value="", description="Find the pose of each head"),
            DeclareLaunchArgument("face_landmarks", default_value="", description="Find 468 landmarks of each face"),
            DeclareLaunchArgument("publish_tf", default_value="", description="Publish TF frames body_<id>"),
            DeclareLaunchArgument(
                "rep155", default_value="", description="Publish /humans/bodies and TF of limbs, as REP-155 says"
            ),
            DeclareLaunchArgument(
                "fixed_frame", default_value="", description="TF frame with z upwards, for a camera that moves"
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(_SHARE / "config" / "human_pose.yaml"),
                description="Parameters of the node; the arguments above come before it",
            ),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node"),
            DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error"),
            OpaqueFunction(function=_start),
        ]
    )


def _start(context: LaunchContext) -> list[Node]:
    values = {name: LaunchConfiguration(name).perform(context) for name in (*_PARAMETERS, *_TOPICS.values())}
    overrides = {
        _FULL_NAMES.get(name, name): _parse(values[name], kind) for name, kind in _PARAMETERS.items() if values[name]
    }
    remappings = [(topic, values[argument]) for topic, argument in _TOPICS.items() if values[argument] != topic]
    if ("color/image", values["color_image"]) in remappings:
        # Which of the two the node reads may be said in the file of parameters too.
        remappings.append(("color/image/compressed", values["color_image"]))
    profile = str(_SHARE / "config" / "fastdds_shared_memory.xml")
    node = Node(
        package="pose_perception",
        executable="human_pose",
        name="human_pose",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), overrides],
        remappings=remappings,
        # Without it most images get lost between two processes.
        additional_env={
            "FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE", default_value=profile
            )
        },
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return [node]


def _parse(text: str, kind: type) -> Any:
    if kind is not bool:
        return kind(text)
    if text.lower() not in ("true", "false"):
        raise ValueError(f"true or false expected, got {text!r}")
    return text.lower() == "true"

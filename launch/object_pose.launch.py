"""Start the node object_pose for a camera that publishes already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

_SHARE = Path(get_package_share_directory("pose_perception"))
# What may be said here instead of in the file of parameters: its parameter, type and description. Empty leaves the
# file's value.
_PARAMETERS = {
    "device": ("device", str, "auto, cuda or cpu"),
    "models": ("models", str, "Meshes, separated by commas: files, descriptions, folders of models"),
    "mesh_scale": ("mesh_scale", float, "Metres per unit of mesh files: 0.001 for millimetres"),
    "instances": ("instances", int, "How many objects of each model there may be"),
    "categories": ("objectron.categories", str, "What to find without a mesh, of cup, chair, shoe, camera"),
    "regions": ("regions.source", str, "Who says where objects are: none, masks or detections_2d"),
    "search": ("regions.search", bool, "Look everywhere in images without regions"),
    "classes": ("regions.classes", str, "Models of mask values or of classes: '1=mug, 2=drill'"),
    "publish_tf": ("publish_tf", bool, "Publish TF frames object_<id>"),
    "compressed": ("input.compressed", bool, "Whether color_image is compressed"),
    "fixed_frame": ("input.fixed_frame", str, "TF frame with z upwards, for a camera that moves"),
}
_TOPICS = {
    "color_image": ("color/image", "Topic of the colour images"),
    "color_camera_info": ("color/camera_info", "Topic of the colour camera"),
    "depth_image": ("depth/image", "Topic of the depth images"),
    "depth_camera_info": ("depth/camera_info", "Topic of the depth camera, for depth that is not aligned with colour"),
    "masks": ("~/masks", "Topic of masks, for regions:=masks"),
    "detections_2d": ("~/detections_2d", "Topic of detections, for regions:=detections_2d"),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node."""
    arguments = {name: (topic, text) for name, (topic, text) in _TOPICS.items()}
    arguments |= {name: ("", text) for name, (_, _, text) in _PARAMETERS.items()}
    arguments |= {
        "params_file": (
            str(_SHARE / "config" / "object_pose.yaml"),
            "Parameters of the node; the arguments above come before it",
        ),
        "namespace": ("", "Namespace of the node"),
        "log_level": ("info", "debug, info, warn or error"),
    }
    declared = [
        DeclareLaunchArgument(name, default_value=value, description=text) for name, (value, text) in arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Node]:
    values = {name: LaunchConfiguration(name).perform(context) for name in (*_PARAMETERS, *_TOPICS)}
    overrides = {
        parameter: _parse(values[name], kind) for name, (parameter, kind, _) in _PARAMETERS.items() if values[name]
    }
    remappings = [(topic, values[name]) for name, (topic, _) in _TOPICS.items() if values[name] != topic]
    if ("color/image", values["color_image"]) in remappings:
        # Which of the two the node reads may be said in the file of parameters too.
        remappings.append(("color/image/compressed", values["color_image"]))
    profile = str(_SHARE / "config" / "fastdds_shared_memory.xml")
    node = Node(
        package="pose_perception",
        executable="object_pose",
        name="object_pose",
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

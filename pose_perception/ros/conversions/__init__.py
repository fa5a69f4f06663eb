"""The only place where messages are read and built, one module per kind of message."""

from pose_perception.ros.conversions.bodies import (
    hri_messages,
    ids_list_message,
    joint_state_message,
    region_message,
    skeleton_2d_message,
)
from pose_perception.ros.conversions.diagnostics import diagnostic_message
from pose_perception.ros.conversions.faces import face_array_message, faces_from_message
from pose_perception.ros.conversions.images import (
    camera_from_info,
    camera_info_message,
    color_from_message,
    color_message,
    compressed_color_message,
    depth_from_message,
    depth_message,
    is_distorted,
)
from pose_perception.ros.conversions.markers import marker_array_message
from pose_perception.ros.conversions.object_markers import ObjectMarkers
from pose_perception.ros.conversions.objects import (
    detections_message,
    object_pose_array_message,
    objects_from_message,
    vision_messages,
)
from pose_perception.ros.conversions.regions import regions_from_detections, regions_from_mask
from pose_perception.ros.conversions.robots import (
    JointValues,
    flag_message,
    imitation_status_message,
    joint_trajectory_message,
    joint_values_from_message,
    path_from_message,
    positions_from_message,
    positions_message,
    robot_state_message,
    text_message,
)
from pose_perception.ros.conversions.skeletons import (
    ground_truth_skeletons,
    skeleton_array_message,
    skeletons_from_message,
)
from pose_perception.ros.conversions.target_markers import target_markers_message
from pose_perception.ros.conversions.transforms import (
    header_message,
    matrix_from_pose,
    matrix_from_transform,
    numbers_from_transform,
    pose_message,
    stamp_ns,
    transform_message,
)

__all__ = [
    "JointValues",
    "ObjectMarkers",
    "camera_from_info",
    "camera_info_message",
    "color_from_message",
    "color_message",
    "compressed_color_message",
    "depth_from_message",
    "depth_message",
    "detections_message",
    "diagnostic_message",
    "face_array_message",
    "faces_from_message",
    "flag_message",
    "ground_truth_skeletons",
    "header_message",
    "hri_messages",
    "ids_list_message",
    "imitation_status_message",
    "is_distorted",
    "joint_state_message",
    "joint_trajectory_message",
    "joint_values_from_message",
    "marker_array_message",
    "matrix_from_pose",
    "matrix_from_transform",
    "numbers_from_transform",
    "object_pose_array_message",
    "objects_from_message",
    "path_from_message",
    "pose_message",
    "positions_from_message",
    "positions_message",
    "region_message",
    "regions_from_detections",
    "regions_from_mask",
    "robot_state_message",
    "skeleton_2d_message",
    "skeleton_array_message",
    "skeletons_from_message",
    "stamp_ns",
    "target_markers_message",
    "text_message",
    "transform_message",
    "vision_messages",
]

"""REP-155's messages about bodies: joint states, and those of hri_msgs where that package is installed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from pose_perception.datatypes import CameraIntrinsics, FloatArray, Skeleton
from pose_perception.human.joint_angles import JOINTS
from pose_perception.human.topology import Topology

# Constants of hri_msgs/Skeleton2D and our names. Its numbers are asked of the message itself: they put the left eye and
# ear before the right ones, against OpenPose's COCO order, which its comment names (hri_msgs, msg/Skeleton2D.msg;
# openpose, src/openpose/pose/poseParameters.cpp).
_POINTS = {
    "NOSE": "nose",
    **{
        f"{side}_{part}": f"{side.lower()}_{part.lower()}"
        for side in ("LEFT", "RIGHT")
        for part in ("EYE", "EAR", "SHOULDER", "ELBOW", "WRIST", "HIP", "KNEE", "ANKLE")
    },
}
_SHOULDERS = ("left_shoulder", "right_shoulder")


def hri_messages() -> ModuleType | None:
    """Return hri_msgs.msg, or None where it is not installed."""
    try:
        return importlib.import_module("hri_msgs.msg")
    except ImportError:
        return None


def joint_state_message(angles: FloatArray, body_id: str, header: Header) -> JointState:
    """Build the joint states of one body; unknown angles are left out.

    Args:
        angles: Of `human.joint_angles.JOINTS` with shape (20,), radians; NaN when unknown.
        body_id: Ends the name of each joint.
        header: Its stamp is that of the image.
    """
    known = np.flatnonzero(np.isfinite(angles))
    names = [f"{JOINTS[i]}_{body_id}" for i in known]
    return JointState(header=Header(stamp=header.stamp), name=names, position=angles[known].tolist())


def ids_list_message(hri: ModuleType, ids: Sequence[str], header: Header) -> object:
    """Build hri_msgs/IdsList."""
    return hri.IdsList(header=header, ids=list(ids))


def region_message(hri: ModuleType, skeleton: Skeleton, camera: CameraIntrinsics, header: Header) -> object:
    """Build hri_msgs/NormalizedRegionOfInterest2D: the part of the person's box that lies inside the image."""
    x0, y0, x1, y1 = np.clip(skeleton.box / np.tile([camera.width, camera.height], 2), 0.0, 1.0).tolist()
    return hri.NormalizedRegionOfInterest2D(
        header=header, xmin=x0, ymin=y0, xmax=x1, ymax=y1, c=float(np.clip(skeleton.score, 0.0, 1.0))
    )


def skeleton_2d_message(
    hri: ModuleType, skeleton: Skeleton, topology: Topology, camera: CameraIntrinsics, header: Header
) -> object:
    """Build hri_msgs/Skeleton2D.

    The neck is the middle of the shoulders, as confident as the less certain one. A point that is not known is NaN and
    has confidence 0; so has one outside the image, because the message promises 0 to 1.
    """
    message = hri.Skeleton2D(header=header)
    pixels = dict(zip(topology.keypoints, skeleton.pixels, strict=True))
    scores = dict(zip(topology.keypoints, skeleton.scores.tolist(), strict=True))
    pixels["neck"] = np.mean([pixels[name] for name in _SHOULDERS], axis=0)
    scores["neck"] = min(scores[name] for name in _SHOULDERS)
    for constant, name in {**_POINTS, "NECK": "neck"}.items():
        x, y = (pixels[name] / (camera.width, camera.height)).tolist()
        point = message.skeleton[getattr(hri.Skeleton2D, constant)]
        if 0 <= x <= 1 and 0 <= y <= 1:
            point.x, point.y, point.c = x, y, min(max(scores[name], 0.0), 1.0)
        else:
            point.x, point.y, point.c = float("nan"), float("nan"), 0.0
    return message

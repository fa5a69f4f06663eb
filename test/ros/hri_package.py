"""The part of hri_msgs that REP-155 needs for bodies, built from its message definitions where it is not installed."""

from __future__ import annotations

import importlib

# github.com/ros4hri/hri_msgs, msg/.
_POINTS = (
    *("NOSE", "NECK", "RIGHT_SHOULDER", "RIGHT_ELBOW", "RIGHT_WRIST", "LEFT_SHOULDER", "LEFT_ELBOW", "LEFT_WRIST"),
    *("RIGHT_HIP", "RIGHT_KNEE", "RIGHT_ANKLE", "LEFT_HIP", "LEFT_KNEE", "LEFT_ANKLE"),
    *("LEFT_EYE", "RIGHT_EYE", "LEFT_EAR", "RIGHT_EAR"),
)
_HEADER = "std_msgs/Header header"
_FILES = {
    "msg/IdsList.msg": (_HEADER, "string[] ids"),
    "msg/NormalizedPointOfInterest2D.msg": ("float32 x", "float32 y", "float32 c"),
    "msg/NormalizedRegionOfInterest2D.msg": (
        _HEADER,
        *(f"float32 {name}" for name in ("xmin", "ymin", "xmax", "ymax", "c")),
    ),
    "msg/Skeleton2D.msg": (
        _HEADER,
        *(f"uint8 {name} = {number}" for number, name in enumerate(_POINTS)),
        "NormalizedPointOfInterest2D[18] skeleton",
    ),
}


def environment_with_hri_msgs() -> dict[str, str]:
    """Return an environment for processes in which hri_msgs can be imported; half a minute when it has to be built."""
    return importlib.import_module("interface_package").environment_with("hri_msgs", ["std_msgs"], _FILES)

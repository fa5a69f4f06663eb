"""What goes into and comes out of the search for objects.

Conventions as in `pose_perception.datatypes`: metres, camera optical frame, NaN for what is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, TrackingState
from pose_perception.errors import InvalidInputError


@dataclass(frozen=True)
class ObjectRegion:
    """Where in the image an object may be, as a detector or a user says it.

    Attributes:
        mask: True on the object, shape (height, width), bool.
        model: Name of the model that it shows; None when any of them may be there.
        score: Confidence of whoever says so, 0 to 1.

    Raises:
        InvalidInputError: the mask is not a boolean image.
    """

    mask: npt.NDArray[np.bool_]
    model: str | None = None
    score: float = 1.0

    def __post_init__(self) -> None:
        if self.mask.dtype != np.bool_ or self.mask.ndim != 2:
            raise InvalidInputError(
                f"a mask must be bool with shape (height, width), got {self.mask.dtype} with shape {self.mask.shape}"
            )


@dataclass(frozen=True)
class ObjectPose:
    """One object in one frame.

    Attributes:
        id: Unique while the process runs; starts with a letter.
        model: Name of its model, or of its category.
        score: Probability that this model is there with this pose, 0 to 1.
        tracking_state: Whether the frame shows the object or the track predicts it.
        camera_from_object: Pose of the mesh's own frame in the camera optical frame, shape (4, 4), metres.
        covariance: Of the pose with shape (6, 6): x, y, z in metres, then rotations about the axes of the camera in
            radians, as in `geometry_msgs/PoseWithCovariance`. Wide along what symmetry or occlusion leaves open.
        box_center: Middle of the bounding box in the mesh's frame, shape (3,), metres.
        box_size: Its size along the axes of the mesh's frame, shape (3,), metres.

    Raises:
        InvalidInputError: shapes do not fit together.
    """

    id: str
    model: str
    score: float
    tracking_state: TrackingState
    camera_from_object: FloatArray
    covariance: FloatArray
    box_center: FloatArray
    box_size: FloatArray

    def __post_init__(self) -> None:
        expected = {"camera_from_object": (4, 4), "covariance": (6, 6), "box_center": (3,), "box_size": (3,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise InvalidInputError(f"{name} must have shape {shape}, got {getattr(self, name).shape}")

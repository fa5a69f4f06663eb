"""Results and inputs that pass between the stages.

Conventions: metres, seconds, pixels with the origin at the centre of the top left pixel; the camera optical frame has
x to the right, y down and z forward. Arrays are validated once, at birth. Nothing is invented: what is not known is
NaN and carries the state that says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pose_perception.errors import InvalidInputError

# From a view of 169 degrees to a telescope: focal lengths over the longer side of the image.
_SHORTEST_FOCAL, _LONGEST_FOCAL = 0.05, 20.0

FloatArray = npt.NDArray[np.floating]


class KeypointState(IntEnum):
    """Where the 3D position of a keypoint comes from. Values equal the constants of `msg/Keypoint.msg`."""

    MISSING = 0
    MEASURED = 1
    INFERRED = 2


class TrackingState(IntEnum):
    """How a track knows its present state. Values equal the constants of `msg/Skeleton.msg`."""

    TRACKED = 0
    PREDICTED = 1
    LOST = 2


class HeadSource(IntEnum):
    """What a head pose was made from. Values equal the constants of `msg/Skeleton.msg`."""

    NONE = 0
    FACE = 1
    FEATURES = 2


@dataclass(frozen=True)
class CameraIntrinsics:
    """Pinhole camera without distortion.

    Attributes:
        width, height: Image size in pixels.
        fx, fy: Focal lengths in pixels.
        cx, cy: Principal point in pixels.

    Raises:
        InvalidInputError: a size or focal length is not positive, a value is not finite, or no lens is like that.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InvalidInputError(f"camera size must be positive, got {self.width}x{self.height}")
        values = (self.fx, self.fy, self.cx, self.cy)
        if not np.all(np.isfinite(values)) or self.fx <= 0 or self.fy <= 0:
            raise InvalidInputError(
                f"camera intrinsics must be finite with positive focal lengths, got fx={self.fx}, fy={self.fy}, "
                f"cx={self.cx}, cy={self.cy}; an uncalibrated camera driver publishes zeros"
            )
        size = max(self.width, self.height)
        for focal in (self.fx, self.fy):
            if not _SHORTEST_FOCAL * size <= focal <= _LONGEST_FOCAL * size:
                raise InvalidInputError(f"no camera of {self.width}x{self.height} has a focal length of {focal:g} px")
        if max(abs(self.cx), abs(self.cy)) > 2 * size:
            raise InvalidInputError(f"the principal point ({self.cx:g}, {self.cy:g}) px is far outside of the image")


@dataclass(frozen=True)
class RgbdFrame:
    """One colour image with the depth registered to it.

    Attributes:
        color: RGB image with shape (height, width, 3), uint8.
        depth: Depth along the optical axis in metres with shape (height, width), float32; NaN or 0 where the sensor
            saw nothing. None when there is no depth at all.
        camera: Intrinsics of the colour camera.
        stamp_ns: Acquisition time in nanoseconds.
        frame_id: Name of the optical frame.
        fixed_from_camera: Pose of the camera at that time, shape (4, 4), in a frame that does not move and whose z axis
            points up; None when that is not known.

    Raises:
        InvalidInputError: shapes or types do not fit together.
    """

    color: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32] | None
    camera: CameraIntrinsics
    stamp_ns: int = 0
    frame_id: str = ""
    fixed_from_camera: FloatArray | None = None

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        if self.color.dtype != np.uint8 or self.color.shape != (*size, 3):
            raise InvalidInputError(
                f"colour must be uint8 with shape {(*size, 3)} as the camera says, "
                f"got {self.color.dtype} with shape {self.color.shape}"
            )
        if self.depth is not None and (self.depth.dtype != np.float32 or self.depth.shape != size):
            raise InvalidInputError(
                f"depth must be float32 metres with shape {size}, registered to colour, "
                f"got {self.depth.dtype} with shape {self.depth.shape}"
            )
        if self.fixed_from_camera is not None and self.fixed_from_camera.shape != (4, 4):
            raise InvalidInputError(f"fixed_from_camera must have shape (4, 4), got {self.fixed_from_camera.shape}")


def _check_shapes(owner: object, expected: dict[str, tuple[int, ...]]) -> None:
    for name, shape in expected.items():
        if getattr(owner, name).shape != shape:
            raise InvalidInputError(f"{name} must have shape {shape}, got {getattr(owner, name).shape}")


@dataclass(frozen=True)
class PoseEstimates:
    """What an estimator found in one image: N people with K keypoints each, in the order of its topology.

    Attributes:
        pixels: Keypoints in the image with shape (N, K, 2), px; NaN where the estimator has no opinion.
        scores: Confidence of each keypoint with shape (N, K), 0 to 1.
        boxes: Person boxes (x0, y0, x1, y1) with shape (N, 4), px.
        person_scores: Confidence of each person with shape (N,), 0 to 1.
        world: Metric landmarks relative to the mid-hip with shape (N, K, 3), metres, axes of the camera; NaN where
            the estimator has none.
        pixel_sigmas: Standard deviation of each keypoint with shape (N, K), px; NaN, or None for all, where only its
            score tells how good it is.

    Raises:
        InvalidInputError: shapes do not fit together.
    """

    pixels: FloatArray
    scores: FloatArray
    boxes: FloatArray
    person_scores: FloatArray
    world: FloatArray
    pixel_sigmas: FloatArray | None = None

    def __post_init__(self) -> None:
        n, k = self.scores.shape
        _check_shapes(self, {"pixels": (n, k, 2), "boxes": (n, 4), "person_scores": (n,), "world": (n, k, 3)})
        if self.pixel_sigmas is not None:
            _check_shapes(self, {"pixel_sigmas": (n, k)})

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def without_world(
        cls, pixels: FloatArray, scores: FloatArray, boxes: FloatArray, person_scores: FloatArray
    ) -> PoseEstimates:
        """Return the people of an estimator that has no metric landmarks; arguments as the attributes."""
        return cls(pixels, scores, boxes, person_scores, np.full((*scores.shape, 3), np.nan))

    def select(self, index: npt.ArrayLike) -> PoseEstimates:
        """Return the people chosen by a boolean mask or an index array with shape (M,)."""
        index = np.asarray(index)
        if index.size == 0:
            index = index.astype(np.int64)  # an empty list has no integer type
        return PoseEstimates(
            self.pixels[index],
            self.scores[index],
            self.boxes[index],
            self.person_scores[index],
            self.world[index],
            None if self.pixel_sigmas is None else self.pixel_sigmas[index],
        )


@dataclass(frozen=True)
class HandPose:
    """One hand of a person in one frame: 21 landmarks in the order of `human.topology.HAND_21`.

    Attributes:
        side: `left` or `right`, of the person.
        score: Confidence that this is a hand, 0 to 1.
        pixels: Landmarks in the colour image, shape (21, 2), px.
        positions: Landmarks in the camera optical frame, shape (21, 3), metres; NaN when missing.
        covariances: Covariance of each position, shape (21, 3, 3), square metres; NaN when missing.
        states: `KeypointState` of each position, shape (21,), uint8.
        camera_from_palm: Pose of the palm, shape (4, 4): origin in the wrist, x to the knuckle of the middle finger,
            z out of the back of the hand; None when it is not known.
        pinch: Distance between the tips of thumb and index finger, metres; NaN when unknown.
        openness: 0 for a fist to 1 for a flat hand; NaN when unknown.

    Raises:
        InvalidInputError: shapes do not fit together.
    """

    side: str
    score: float
    pixels: FloatArray
    positions: FloatArray
    covariances: FloatArray
    states: npt.NDArray[np.uint8]
    camera_from_palm: FloatArray | None
    pinch: float
    openness: float

    def __post_init__(self) -> None:
        _check_shapes(self, {"pixels": (21, 2), "positions": (21, 3), "covariances": (21, 3, 3), "states": (21,)})


@dataclass(frozen=True)
class HeadPose:
    """Where a head is and which way it faces.

    Attributes:
        camera_from_head: Shape (4, 4), metres: origin at the sellion (the root of the nose, between the eyes), x out of
            the face, y to the person's left, z up, as REP-155 places `face_<id>`. Does not follow the eyes.
        covariance: Of the pose with shape (6, 6): x, y, z in metres, then rotations about the axes of the camera in
            radians, as in `geometry_msgs/PoseWithCovariance`.
        source: What it was made from.

    Raises:
        InvalidInputError: shapes do not fit together.
    """

    camera_from_head: FloatArray
    covariance: FloatArray
    source: HeadSource

    def __post_init__(self) -> None:
        _check_shapes(self, {"camera_from_head": (4, 4), "covariance": (6, 6)})


@dataclass(frozen=True)
class FaceMesh:
    """The 468 landmarks of MediaPipe's canonical face.

    Attributes:
        score: Confidence that this is a face, 0 to 1.
        pixels: Landmarks in the colour image, shape (468, 2), px.
        positions: Landmarks in the camera optical frame, shape (468, 3), metres; NaN when there is no depth.

    Raises:
        InvalidInputError: shapes do not fit together.
    """

    score: float
    pixels: FloatArray
    positions: FloatArray

    def __post_init__(self) -> None:
        _check_shapes(self, {"pixels": (468, 2), "positions": (468, 3)})


@dataclass(frozen=True)
class Skeleton:
    """One tracked person in one frame, K keypoints in the order of the topology.

    Attributes:
        id: Unique while the process runs; starts with a letter.
        score: Confidence that this is a person, 0 to 1.
        tracking_state: Whether the frame shows the person or the track predicts them.
        box: (x0, y0, x1, y1) in the colour image, px, shape (4,).
        pixels: Keypoints in the colour image, shape (K, 2), px; NaN when unknown.
        scores: Confidence of each keypoint, shape (K,), 0 to 1.
        positions: Joint centres in the camera optical frame, shape (K, 3), metres; NaN when missing.
        covariances: Covariance of each position, shape (K, 3, 3), square metres; NaN when missing.
        states: `KeypointState` of each position, shape (K,), uint8.
        velocity: Of the body in the camera optical frame, shape (3,), metres per second; NaN when unknown.
        camera_from_torso: Torso pose, shape (4, 4): origin mid-hip, x forward out of the chest, z towards the head;
            None when the torso is not seen well enough.
        is_flat: The depth of the whole body lies in one plane: a picture on a wall, a screen or a mirror.
        hands: Those that were looked at in this frame.
        head: Head pose, where it was looked for and found.
        face: Face landmarks, where they were asked for and found.

    Raises:
        InvalidInputError: shapes do not fit together.
    """

    id: str
    score: float
    tracking_state: TrackingState
    box: FloatArray
    pixels: FloatArray
    scores: FloatArray
    positions: FloatArray
    covariances: FloatArray
    states: npt.NDArray[np.uint8]
    velocity: FloatArray
    camera_from_torso: FloatArray | None
    is_flat: bool = False
    hands: tuple[HandPose, ...] = ()
    head: HeadPose | None = None
    face: FaceMesh | None = None

    def __post_init__(self) -> None:
        k = len(self.scores)
        expected = {
            "box": (4,),
            "pixels": (k, 2),
            "scores": (k,),
            "positions": (k, 3),
            "covariances": (k, 3, 3),
            "states": (k,),
            "velocity": (3,),
        }
        _check_shapes(self, expected)

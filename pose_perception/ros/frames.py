"""From the messages of one moment to an RGB-D frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pose_perception.datatypes import CameraIntrinsics, FloatArray, RgbdFrame
from pose_perception.errors import InvalidInputError
from pose_perception.geometry.registration import DepthRegistration
from pose_perception.ros.conversions import (
    camera_from_info,
    color_from_message,
    depth_from_message,
    is_distorted,
    stamp_ns,
)
from pose_perception.ros.counters import Counters

# Reasons under which images are counted as dropped.
COLOR_INFO_UNUSABLE = "colour camera_info unusable"
COLOR_UNUSABLE = "colour image unusable"
DEPTH_UNUSABLE = "depth image unusable"
DEPTH_INFO_UNUSABLE = "depth camera_info unusable"
DEPTH_NOT_REGISTERED = "depth not registered"
SIZES_DIFFER = "sizes do not match"
# A reason to warn, but not to drop an image.
CAMERA_POSE_UNKNOWN = "camera pose unknown"

# Two calibrations that differ by less than this, in pixels, are one: drivers write them with few digits.
_SAME_CAMERA_PX = 0.5

Lookup = Callable[[str, str], "FloatArray | None"]
PoseLookup = Callable[[str, int], FloatArray]


class RgbdMessages(NamedTuple):
    """What a camera said about one moment.

    Attributes:
        color: Colour image.
        depth: Depth image, None without depth.
        color_info: Calibration of the colour camera.
        depth_info: Calibration of the depth image, None when the camera publishes none.
    """

    color: Image | CompressedImage
    depth: Image | None
    color_info: CameraInfo
    depth_info: CameraInfo | None


class _UnusableError(InvalidInputError):
    """An input that cannot be used, with the reason under which it is counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@contextmanager
def _counted_as(reason: str) -> Iterator[None]:
    try:
        yield
    except InvalidInputError as error:
        raise _UnusableError(reason, str(error)) from error


@dataclass
class FrameBuilder:
    """Decodes images, registers depth to colour where needed, and refuses what cannot be used.

    Depth is taken as registered when it has the calibration of colour, possibly at another resolution, and its frame
    or one that nothing connects to that of colour: drivers of registered depth often set none. Without a calibration
    of its own, its size decides.

    Attributes:
        counters: Where refused images are counted.
        logger: For what a user should know once.
        lookup: Called with a target and a source frame, returns `target_from_source` with shape (4, 4) or None.
        color_from_depth: Fixed transform with shape (4, 4), instead of `lookup`.
        fixed_from_camera: Called with the frame and stamp of a colour image, returns the camera's pose in a fixed frame
            with shape (4, 4) or raises `InvalidInputError`; then the image is used without it. None when no fixed
            frame is wanted.
    """

    counters: Counters
    logger: RcutilsLogger
    lookup: Lookup
    color_from_depth: FloatArray | None = None
    fixed_from_camera: PoseLookup | None = None
    _registered_for: tuple[object, DepthRegistration] | None = field(default=None, init=False, repr=False)

    def build(self, messages: RgbdMessages) -> RgbdFrame | None:
        """Return the frame, or None when the messages cannot be used; that is counted and logged."""
        try:
            return self._build(messages)
        except _UnusableError as error:
            self.counters.drop(error.reason, str(error))
            return None

    def _build(self, messages: RgbdMessages) -> RgbdFrame:
        with _counted_as(COLOR_INFO_UNUSABLE):
            camera = camera_from_info(messages.color_info)
        if is_distorted(messages.color_info):
            self.logger.warning(
                "the colour camera has distortion: publish rectified images (image_proc), raw ones shift positions",
                once=True,
            )
        with _counted_as(COLOR_UNUSABLE):
            color = color_from_message(messages.color)
        depth = None if messages.depth is None else self._depth(messages, messages.depth, camera)
        header = messages.color.header
        pose = self._camera_pose(header.frame_id, stamp_ns(header))
        with _counted_as(SIZES_DIFFER):
            return RgbdFrame(color, depth, camera, stamp_ns(header), header.frame_id, pose)

    def _camera_pose(self, frame: str, stamp: int) -> FloatArray | None:
        if self.fixed_from_camera is None:
            return None
        try:
            return self.fixed_from_camera(frame, stamp)
        except InvalidInputError as error:
            self.counters.drop(CAMERA_POSE_UNKNOWN, f"{error}; until it does, its own frame counts as fixed")
            return None

    def _depth(self, messages: RgbdMessages, image: Image, camera: CameraIntrinsics) -> npt.NDArray[np.float32]:
        with _counted_as(DEPTH_UNUSABLE):
            depth = depth_from_message(image)
            if not np.any(depth > 0):
                raise InvalidInputError("no pixel has a depth: is the sensor covered, or too close?")
        if messages.depth_info is None or self._is_outdated(messages.depth_info, depth, camera):
            if depth.shape != (camera.height, camera.width):
                raise _UnusableError(DEPTH_NOT_REGISTERED, _not_registered(depth.shape, camera, "depth/camera_info"))
            return depth
        with _counted_as(DEPTH_INFO_UNUSABLE):
            depth_camera = camera_from_info(messages.depth_info)
        is_same = _is_same(depth_camera, camera)
        depth_frame = image.header.frame_id or messages.depth_info.header.frame_id
        color_from_depth = self._extrinsics(messages.color.header.frame_id, depth_frame, is_same)
        if color_from_depth is None and is_same:
            if depth.shape == (camera.height, camera.width):
                return depth
            color_from_depth = np.eye(4)
        if color_from_depth is None:
            raise _UnusableError(DEPTH_NOT_REGISTERED, _not_registered(depth.shape, camera, "a static transform"))
        with _counted_as(DEPTH_NOT_REGISTERED):
            return self._registration(depth_camera, camera, color_from_depth)(depth)

    def _registration(
        self, depth_camera: CameraIntrinsics, camera: CameraIntrinsics, color_from_depth: FloatArray
    ) -> DepthRegistration:
        """Return the registration, made anew only when a calibration or the transform has changed."""
        cameras = (depth_camera, camera, color_from_depth.tobytes())
        if self._registered_for is None or self._registered_for[0] != cameras:
            self._registered_for = (cameras, DepthRegistration(depth_camera, camera, color_from_depth))
        return self._registered_for[1]

    def _is_outdated(self, info: CameraInfo, depth: npt.NDArray[np.float32], camera: CameraIntrinsics) -> bool:
        """Return whether a calibration of depth is that of an earlier stream: only colour's fits the image."""
        if self.color_from_depth is not None:
            return False  # depth is known not to be registered
        return depth.shape != (info.height, info.width) and depth.shape == (camera.height, camera.width)

    def _extrinsics(self, color_frame: str, depth_frame: str, is_same_camera: bool) -> FloatArray | None:
        """Return `color_from_depth` with shape (4, 4), or None when depth is registered or nobody knows."""
        if self.color_from_depth is not None:
            return self.color_from_depth
        if is_same_camera and depth_frame == color_frame:
            return None
        found = self.lookup(color_frame, depth_frame)
        if found is None and is_same_camera:
            self.logger.warning(
                f"depth has the calibration of colour, but the frame {depth_frame!r} instead of {color_frame!r}, and "
                "no static TF connects them: it is taken as registered. If it is not, positions are shifted: publish "
                "that TF or set color_from_depth",
                once=True,
            )
        return found


def _is_same(depth: CameraIntrinsics, color: CameraIntrinsics) -> bool:
    """Return whether two calibrations are those of one view, possibly at two resolutions."""
    su, sv = color.width / depth.width, color.height / depth.height
    scaled = (su * depth.fx, sv * depth.fy, su * depth.cx, sv * depth.cy)
    # The principal point is scaled about the corner of the image or about the centre of its first pixel.
    tolerance = (_SAME_CAMERA_PX, _SAME_CAMERA_PX, _SAME_CAMERA_PX + abs(su - 1) / 2, _SAME_CAMERA_PX + abs(sv - 1) / 2)
    differences = np.abs(np.subtract(scaled, (color.fx, color.fy, color.cx, color.cy)))
    return bool(np.all(differences <= tolerance))


def _not_registered(depth_shape: tuple[int, ...], camera: CameraIntrinsics, lacking: str) -> str:
    return (
        f"depth is {depth_shape[1]}x{depth_shape[0]}, colour {camera.width}x{camera.height} with another calibration, "
        f"and {lacking} is missing: publish aligned depth, or depth/camera_info with static TF between the two "
        f"optical frames or the parameter color_from_depth"
    )

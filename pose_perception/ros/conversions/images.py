"""Images and camera calibrations.

Images become arrays without a copy where the layout allows it: such an array shares memory with its message and must
not be written to.
"""

from __future__ import annotations

import array

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from pose_perception.datatypes import CameraIntrinsics
from pose_perception.errors import InvalidInputError

# Channels per pixel, and OpenCV's way to RGB.
_COLOR_ENCODINGS = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
# NumPy type of a pixel, and metres per unit.
_DEPTH_ENCODINGS = {"16UC1": ("u2", 1e-3), "32FC1": ("f4", 1.0)}
_JPEG_QUALITY = 85
# First bytes of a compressed file, and the bytes that end a complete one.
_END_MARKS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB`\x82"}


def color_from_message(message: Image | CompressedImage) -> npt.NDArray[np.uint8]:
    """Return a colour image as RGB with shape (height, width, 3), contiguous.

    Raises:
        InvalidInputError: the encoding is none of rgb8, bgr8, rgba8, bgra8, mono8, jpeg, png, or data is missing.
    """
    if isinstance(message, CompressedImage):
        return _decode(message)
    if message.encoding not in _COLOR_ENCODINGS:
        raise InvalidInputError(
            f"colour encoding {message.encoding!r} is not supported; publish one of {', '.join(_COLOR_ENCODINGS)}"
        )
    channels, conversion = _COLOR_ENCODINGS[message.encoding]
    pixels = np.ascontiguousarray(pixels_from_message(message, np.dtype(np.uint8), channels))
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def depth_from_message(message: Image) -> npt.NDArray[np.float32]:
    """Return a depth image in metres with shape (height, width); NaN or 0 where the sensor saw nothing.

    Raises:
        InvalidInputError: the encoding is neither 16UC1 (millimetres) nor 32FC1 (metres), or data is missing.
    """
    if message.encoding not in _DEPTH_ENCODINGS:
        raise InvalidInputError(
            f"depth encoding {message.encoding!r} is not supported; publish 16UC1 (millimetres) or 32FC1 (metres)"
        )
    kind, scale = _DEPTH_ENCODINGS[message.encoding]
    order = ">" if message.is_bigendian else "<"
    pixels = pixels_from_message(message, np.dtype(order + kind), 1)[:, :, 0]
    if kind == "u2":
        return np.multiply(pixels, np.float32(scale), dtype=np.float32)
    depth = np.ascontiguousarray(pixels, dtype=np.float32)
    usable = np.isfinite(depth) & (depth >= 0)
    # Infinite and negative depth is how some drivers mark "nothing"; the pipeline knows NaN.
    return depth if usable.all() else np.where(usable, depth, np.float32(np.nan))


def color_message(color: npt.NDArray[np.uint8], header: Header) -> Image:
    """Build an rgb8 image from an array with shape (height, width, 3)."""
    return _image_message(color, "rgb8", header)


def compressed_color_message(color: npt.NDArray[np.uint8], header: Header) -> CompressedImage:
    """Build a JPEG image from an RGB array with shape (height, width, 3)."""
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(color, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=array.array("B", jpeg.tobytes()))


def depth_message(depth: npt.NDArray[np.uint16] | npt.NDArray[np.float32], header: Header) -> Image:
    """Build a depth image from an array with shape (height, width): uint16 millimetres or float32 metres."""
    return _image_message(depth, "16UC1" if depth.dtype == np.uint16 else "32FC1", header)


def camera_from_info(message: CameraInfo) -> CameraIntrinsics:
    """Return the intrinsics of rectified images: those of P when it is set, else those of K.

    Raises:
        InvalidInputError: the camera is not calibrated (K is zero) or the calibration makes no sense.
    """
    k, p = message.k, message.p
    if k[0] == 0:
        raise InvalidInputError("camera_info holds no calibration (K is zero); calibrate the camera or fix its driver")
    fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if p[0] != 0 else (k[0], k[4], k[2], k[5])
    return CameraIntrinsics(message.width, message.height, float(fx), float(fy), float(cx), float(cy))


def is_distorted(message: CameraInfo) -> bool:
    """Tell whether raw images of this camera are distorted, so that only rectified ones fit `camera_from_info`."""
    return any(abs(coefficient) > 1e-9 for coefficient in message.d)


def camera_info_message(camera: CameraIntrinsics, header: Header) -> CameraInfo:
    """Build the calibration of a camera without distortion."""
    fx, fy, cx, cy = (float(value) for value in (camera.fx, camera.fy, camera.cx, camera.cy))
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def pixels_from_message(message: Image, dtype: np.dtype, channels: int) -> npt.NDArray:
    """View the data of an image with shape (height, width, channels), padding at the end of the rows left out."""
    height, width = message.height, message.width
    row_bytes = width * channels * dtype.itemsize
    if height == 0 or width == 0:
        raise InvalidInputError(f"image is empty ({width}x{height})")
    step = message.step or row_bytes
    # The last row need not be padded.
    needed = step * (height - 1) + row_bytes
    if step < row_bytes or len(message.data) < needed:
        raise InvalidInputError(
            f"image of {width}x{height} {message.encoding} with step {message.step} needs {needed} bytes and rows of "
            f"{row_bytes}, got {len(message.data)} bytes"
        )
    strides = (step, channels * dtype.itemsize, dtype.itemsize)
    return np.ndarray((height, width, channels), dtype, buffer=message.data, strides=strides)


def _decode(message: CompressedImage) -> npt.NDArray[np.uint8]:
    data = bytes(message.data)
    mark = next((mark for start, mark in _END_MARKS.items() if data.startswith(start)), None)
    if mark is None:
        raise InvalidInputError(f"compressed image with format {message.format!r} is neither JPEG nor PNG")
    # The decoder fills what a half-written file lacks with grey and says nothing. Some encoders pad with zeros.
    if not data.rstrip(b"\0").endswith(mark):
        raise InvalidInputError(f"compressed image of {len(data)} bytes is cut off")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if decoded is None:
        raise InvalidInputError(f"compressed image of {len(data)} bytes cannot be decoded")
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def _image_message(pixels: npt.NDArray, encoding: str, header: Header) -> Image:
    height, width = pixels.shape[:2]
    # Assigning an array.array is a move; a bytes object or a list would be checked element by element.
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast("B"))
    step = len(data) // height
    return Image(header=header, height=height, width=width, encoding=encoding, step=step, data=data)

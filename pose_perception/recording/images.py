"""Reading of colour and depth image files, and of masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.errors import InvalidInputError

# How a file begins, the last bytes of a complete one (chunk IEND of PNG, marker EOI of JPEG), and how far from the end
# these may be: some cameras pad their JPEGs.
_FORMATS = ((b"\x89PNG", b"IEND\xaeB`\x82", 64), (b"\xff\xd8", b"\xff\xd9", 4096))


def read_color(path: Path) -> npt.NDArray[np.uint8]:
    """Read a colour image as the sensor saw it; grey and 16-bit ones are converted.

    A note on the file's orientation is not obeyed: intrinsics and depth would not follow.

    Returns:
        RGB with shape (height, width, 3).

    Raises:
        InvalidInputError: the file is missing, half written or no image.
    """
    return cv2.cvtColor(_read(Path(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), cv2.COLOR_BGR2RGB)


def read_depth_mm(path: Path) -> npt.NDArray[np.uint16]:
    """Read a depth image.

    Returns:
        Millimetres with shape (height, width), 0 where the sensor saw nothing.

    Raises:
        InvalidInputError: the file is missing, half written, or not 16 bit with one channel.
    """
    depth = _read(Path(path), cv2.IMREAD_UNCHANGED)
    if depth.dtype != np.uint16 or depth.ndim != 2:
        raise InvalidInputError(f"{path} must be a 16-bit image with one channel, in millimetres")
    return depth


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Read a mask.

    Returns:
        True where the image is not black, shape (height, width).

    Raises:
        InvalidInputError: the file is missing, half written or no image.
    """
    return _read(Path(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION) > 0


def _read(path: Path, flags: int) -> npt.NDArray[Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error}") from error
    # The decoders fill what is missing of a cut file with black or grey, so its end is checked here.
    is_cut = any(content.startswith(begin) and end not in content[-reach:] for begin, end, reach in _FORMATS)
    try:
        image = None if is_cut or not content else cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise InvalidInputError(f"{path} cannot be decoded: {error.err}") from error
    if image is None:
        raise InvalidInputError(f"{path} is no complete image: half written or damaged")
    return image

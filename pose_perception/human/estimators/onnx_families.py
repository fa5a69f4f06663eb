"""The kinds of pose networks that come as ONNX files: how to tell them apart, what they see and how to read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pose_perception.datatypes import FloatArray
from pose_perception.errors import UnsupportedNetworkError
from pose_perception.human.estimators import onnx_decoding as decoding
from pose_perception.networks.onnx_file import OnnxFile, PixelEncoding, Shape, describe

# Mean and deviation of ImageNet in RGB order, from 0 to 255 (mmpose, rtmpose-*_coco-256x192.py, td-hm_ViTPose-*.py).
_IMAGENET = PixelEncoding((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# RTMO's configuration has neither mean nor `bgr_to_rgb`, so it sees BGR as loaded (mmpose, rtmo-*_640x640.py).
_PLAIN_BGR = PixelEncoding(bgr=True)
# RGB from 0 to 1 (Ultralytics, engine/predictor.py).
_UNIT_RGB = PixelEncoding(std=(255.0, 255.0, 255.0))
# Inputs of files that take any size: those of the published networks; for YOLO, which sees any multiple of 32, also
# landscape and portrait of 4:3 and 16:9, which cost less.
_CROP_SIZES = ((256, 192),)
_SQUARE = (640, 640)
_YOLO_SIZES = (_SQUARE, (480, 640), (384, 640), (640, 480), (640, 384))
# Raw results of older YOLOs have the width of an end-to-end result, but a row for each of thousands of anchors.
_MOST_ROWS = 1000

Results = Sequence[tuple[str, Shape]]


@dataclass(frozen=True)
class Family:
    """A kind of network.

    Attributes:
        name: Among the choices of `EstimationConfig.decoding`.
        layout: Shapes of its results in words.
        encoding: What it sees.
        sizes: Inputs, (height, width) in px, for files that take any.
        order: Function of the results and the input size that returns in which order `decode` wants the results, or
            None when they are not of this kind.
    """

    name: str
    layout: str
    encoding: PixelEncoding
    sizes: tuple[tuple[int, int], ...]
    order: Callable[[Results, tuple[int, int]], tuple[int, ...] | None]


@dataclass(frozen=True)
class CropFamily(Family):
    """A kind that sees one person.

    Attributes:
        decode: Function of the results and the input size.
        outer_pixels: See `onnx_crops.frame_people`.
    """

    decode: Callable[[Sequence[FloatArray], tuple[int, int]], decoding.CropPoses]
    outer_pixels: bool


@dataclass(frozen=True)
class PictureFamily(Family):
    """A kind that sees the whole picture.

    Attributes:
        decode: Function of the results.
    """

    decode: Callable[[Sequence[FloatArray]], decoding.PicturePoses]


def _simcc_order(results: Results, size: tuple[int, int]) -> tuple[int, ...] | None:
    shapes = [shape for _, shape in results]
    if [len(shape) for shape in shapes] != [3, 3] or shapes[0][1] != shapes[1][1] or not _has_keypoints(shapes[0][1]):
        return None
    bins = [shape[2] or 0 for shape in shapes]
    # As many bins per pixel across as down.
    fitting = [(i, j) for i, j in ((0, 1), (1, 0)) if bins[i] * size[0] == bins[j] * size[1] and bins[i] >= size[1]]
    if len(fitting) == 2 and results[0][0].endswith("_y"):
        return fitting[1]  # square crops: only the name tells
    return fitting[0] if fitting else None


def _heatmap_order(results: Results, size: tuple[int, int]) -> tuple[int, ...] | None:
    if len(results) != 1 or len(results[0][1]) != 4:
        return None
    _, keypoints, height, width = results[0][1]
    is_scaled = (height or 0) * size[1] == (width or 0) * size[0] and 1 < (height or 0) <= size[0]
    return (0,) if is_scaled and _has_keypoints(keypoints) else None


def _rtmo_order(results: Results, _: tuple[int, int]) -> tuple[int, ...] | None:
    shapes = [shape for _, shape in results]
    for i, j in ((0, 1), (1, 0)):
        # Behind the suppression of duplicates not every side may be known before the network has run.
        if [len(shape) for shape in shapes] == [3 + i, 3 + j] and shapes[i][2] in (5, None):
            return (i, j) if shapes[j][3] in (3, None) and shapes[j][2] in (*decoding.KEYPOINT_COUNTS, None) else None
    return None


def _yolo_anchors_order(results: Results, _: tuple[int, int]) -> tuple[int, ...] | None:
    if len(results) != 1 or len(results[0][1]) != 3:
        return None
    return (0,) if results[0][1][1] in [5 + 3 * count for count in decoding.KEYPOINT_COUNTS] else None


def _yolo_people_order(results: Results, _: tuple[int, int]) -> tuple[int, ...] | None:
    if len(results) != 1 or len(results[0][1]) != 3 or (results[0][1][1] or 0) > _MOST_ROWS:
        return None
    return (0,) if results[0][1][2] in [6 + 3 * count for count in decoding.KEYPOINT_COUNTS] else None


def _has_keypoints(count: int | None) -> bool:
    return count in decoding.KEYPOINT_COUNTS


FAMILIES: tuple[CropFamily | PictureFamily, ...] = (
    CropFamily(
        "simcc",
        "(B, K, bins across) and (B, K, bins down), as many bins per pixel across as down",
        _IMAGENET,
        _CROP_SIZES,
        _simcc_order,
        decoding.decode_simcc,
        outer_pixels=False,
    ),
    CropFamily(
        "heatmap",
        "(B, K, height, width) with the aspect ratio of the input",
        _IMAGENET,
        _CROP_SIZES,
        _heatmap_order,
        decoding.decode_heatmaps,
        outer_pixels=True,
    ),
    PictureFamily("rtmo", "(B, N, 5) and (B, N, K, 3)", _PLAIN_BGR, (_SQUARE,), _rtmo_order, decoding.decode_rtmo),
    PictureFamily("yolo", "(B, 5 + 3 K, N)", _UNIT_RGB, _YOLO_SIZES, _yolo_anchors_order, decoding.decode_yolo_anchors),
    PictureFamily(
        "yolo",
        f"(B, N up to {_MOST_ROWS}, 6 + 3 K)",
        _UNIT_RGB,
        _YOLO_SIZES,
        _yolo_people_order,
        decoding.decode_yolo_people,
    ),
)


def recognise(file: OnnxFile, wanted: str) -> tuple[CropFamily | PictureFamily, tuple[int, ...]]:
    """Return the kind of network in a file and the order of its results.

    Args:
        file: The file.
        wanted: auto, or the name of a family.

    Raises:
        UnsupportedNetworkError: its results are not those of a known kind, or not of the one wanted.
    """
    candidates = [family for family in FAMILIES if wanted in ("auto", family.name)]
    for family in candidates:
        size = file.input_size or family.sizes[0]
        try:
            order = family.order(file.outputs(size), size)
        except UnsupportedNetworkError:
            continue  # a file that takes any size may still not take the size of this kind
        if order is not None:
            return family, order
    raise _unknown(file.name, file.outputs(), wanted)


def check_results(name: str, results: Results, family: Family, size: tuple[int, int]) -> None:
    """Compare the shapes of what a network has given with what it promised.

    Args:
        name: Name of the file.
        results: What it has given for images of that size.
        family: As `recognise` found it.
        size: (height, width) of its input, px.

    Raises:
        UnsupportedNetworkError: they are not those of its kind.
    """
    if family.order(results, size) is None:
        raise _unknown(name, results, family.name)


def _unknown(name: str, results: Results, wanted: str) -> UnsupportedNetworkError:
    found = ", ".join(f"{result} {describe(shape)}" for result, shape in results)
    known = "; ".join(f"{family.name}: {family.layout}" for family in FAMILIES if wanted in ("auto", family.name))
    counts = ", ".join(map(str, decoding.KEYPOINT_COUNTS))
    return UnsupportedNetworkError(
        f"{name} gives {found}, which is not what the decoding {wanted} knows: {known}; the number of keypoints K "
        f"must be one of {counts}, of which the first 17 are COCO's"
    )

"""Tests for human/estimators/onnx*.py and networks/onnx_file.py.

The networks are made here. They look for dots of seventeen colours, one for each keypoint, and give what they see in
the layout of the published networks: every step from the picture to the pixels of the people is computed from it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pose_perception.datatypes import PoseEstimates
from pose_perception.errors import ConfigurationError, DeviceError, UnsupportedNetworkError
from pose_perception.human.estimators import onnx_decoding
from pose_perception.human.estimators.base import EstimationConfig
from pose_perception.human.estimators.onnx import OnnxEstimator
from pose_perception.human.estimators.onnx_crops import cut_people, frame_people, letterbox

NOBODY = np.empty((0, 4))
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# Far from each other, from greys and from black.
LEVELS = (30, 140, 250)
COLORS = np.array([(r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS if not r == g == b][:17], np.float32)
DOT = 4  # half a side, px
CELL = 160  # side of what an anchor of a whole-picture network sees, px


class _Graph:
    """Collects the nodes of an ONNX graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def op(self, kind: str, *inputs: str | float | list[Any], **attributes: Any) -> str:
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, names, [f"t{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def reduce(self, kind: str, value: str, axis: int, keepdims: int = 1) -> str:
        if kind == "ReduceSum":
            return self.op(kind, value, self.constant([axis], np.int64), keepdims=keepdims)
        return self.op(kind, value, axes=[axis], keepdims=keepdims)

    def reshape(self, value: str, shape: list[int]) -> str:
        return self.op("Reshape", value, self.constant(shape, np.int64))

    def save(self, path: Path, shape: list[Any], outputs: dict[str, tuple[str, list[Any]]]) -> str:
        for name, (tensor, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [tensor], [name]))
        graph = helper.make_graph(
            self.nodes,
            "dots",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, (_, size) in outputs.items()],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return str(path)


def heat(graph: _Graph, mean: Any = (0, 0, 0), std: Any = (1, 1, 1), bgr: bool = False) -> str:
    """Return how much each pixel of the input has the colour of each keypoint, (N, 17, H, W), 0 to 1."""
    order = slice(None, None, -1) if bgr else slice(None)
    column = (1, 3, 1, 1)
    values = graph.op("Mul", "input", graph.constant(np.reshape(std[order], column)))
    values = graph.op("Add", values, graph.constant(np.reshape(mean[order], column)))
    # First the difference, then its square: this keeps its accuracy in bfloat16.
    copies = graph.constant(np.tile(np.eye(3)[..., None, None], (17, 1, 1, 1)))
    difference = graph.op("Conv", values, copies, graph.constant(-COLORS[:, order].reshape(-1)))
    squares = graph.op("Mul", difference, difference)
    distance = graph.op("Conv", squares, graph.constant(np.ones((17, 3, 1, 1))), group=17)
    return graph.op("Exp", graph.op("Mul", distance, -1 / 800))


def blurred(graph: _Graph, value: str, sigma: float, axes: tuple[int, ...]) -> str:
    """Smooth along rows (2) or columns (3)."""
    reach = int(4 * sigma)
    kernel = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2 * sigma**2))
    for axis in axes:
        shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
        pads = [reach, 0, reach, 0] if axis == 2 else [0, reach, 0, reach]
        weights = graph.constant(np.tile((kernel / kernel.sum()).reshape(shape), (17, 1, 1, 1)))
        value = graph.op("Conv", value, weights, group=17, pads=pads)
    return value


def crop_network(path: Path, kind: str, batch: Any = "n", size: tuple[Any, Any] = (256, 192)) -> str:
    """Write a network that sees one person: `simcc` or `heatmap`."""
    graph = _Graph()
    found = heat(graph, *IMAGENET)
    shape = [batch, 3, *size]
    if kind == "heatmap":
        wide = blurred(graph, found, 8.0, (2, 3))
        scales = graph.constant([1, 1, 0.25, 0.25])
        small = graph.op("Resize", wide, "", scales, mode="linear", coordinate_transformation_mode="align_corners")
        result = graph.op("Mul", small, 2 * np.pi * 8**2 / (2 * DOT + 1) ** 2)
        return graph.save(path, shape, {"heatmaps": (result, [batch, 17, None, None])})
    outputs = {}
    for name, kept, summed in (("simcc_x", 3, 2), ("simcc_y", 2, 3)):
        line = graph.reduce("ReduceSum", blurred(graph, found, 4.0, (kept,)), summed)
        scales = graph.constant([1, 1, 2, 1] if kept == 2 else [1, 1, 1, 2])
        bins = graph.op("Resize", line, "", scales, mode="linear", coordinate_transformation_mode="asymmetric")
        bins = graph.op("Squeeze", bins, graph.constant([summed], np.int64))
        outputs[name] = (graph.op("Mul", bins, 0.12), [batch, 17, None])
    return graph.save(path, shape, outputs)


def picture_network(
    path: Path, kind: str, batch: Any = 1, size: tuple[Any, Any] = (640, 640), stride: int = CELL
) -> str:
    """Write a network that sees the picture through cells: `rtmo`, `rtmo-nms`, `yolo` with anchors or `yolo26`."""
    graph = _Graph()
    found = heat(graph, bgr=True) if kind.startswith("rtmo") else heat(graph, std=(255, 255, 255))

    def pool(value: str, edge: int = 0) -> str:
        side = CELL + 2 * edge
        shape = {"kernel_shape": [side, side], "strides": [stride, stride], "pads": [edge] * 4}
        cells = graph.op("AveragePool", value, count_include_pad=1, **shape)
        return graph.reshape(graph.op("Mul", cells, float(side**2)), [0, 17, -1])

    ones = graph.op("Add", graph.op("Mul", found, 0.0), 1.0)
    mass = pool(found)
    points = []
    for axis in (3, 2):
        index = graph.op("Sub", graph.op("CumSum", ones, graph.constant(axis, np.int64)), 1.0)
        points.append(graph.op("Div", pool(graph.op("Mul", found, index)), graph.op("Add", mass, 1e-6)))
    # Only cells that show every keypoint count, none cut off by the border.
    seen = graph.op("Clip", graph.op("Div", mass, graph.op("Add", pool(found, 16), 1e-3)), 0.0, 1.0)
    score = graph.op("Relu", graph.op("Sub", graph.op("Mul", graph.reduce("ReduceMean", seen, 1), 170.0), 169.0))
    score = graph.op("Mul", score, 0.9)
    low = [graph.op("Sub", graph.reduce("ReduceMin", value, 1), 5.0) for value in points]
    high = [graph.op("Add", graph.reduce("ReduceMax", value, 1), 5.0) for value in points]
    keypoints = graph.op("Concat", *(graph.reshape(v, [0, 17, 1, -1]) for v in (*points, seen)), axis=2)  # N 17 3 A
    if kind == "yolo":
        center = [graph.op("Mul", graph.op("Add", a, b), 0.5) for a, b in zip(low, high, strict=True)]
        sides = [graph.op("Sub", b, a) for a, b in zip(low, high, strict=True)]
        flat = graph.op("Concat", *center, *sides, score, graph.reshape(keypoints, [0, 51, -1]), axis=1)
        return graph.save(path, [batch, 3, *size], {"output0": (flat, [batch, 56, None])})
    boxes = graph.op("Concat", *low, *high, score, axis=1)
    if kind.startswith("rtmo"):
        boxes = graph.op("Transpose", boxes, perm=[0, 2, 1])
        keypoints = graph.op("Transpose", keypoints, perm=[0, 3, 1, 2])
        if kind == "rtmo-nms":  # as published: the number of people depends on the picture
            corners = graph.op("Slice", boxes, *(graph.constant([n], np.int64) for n in (0, 4, 2)))
            limits = graph.constant(50, np.int64), graph.constant(0.65), graph.constant(0.1)
            chosen = graph.op("NonMaxSuppression", corners, graph.reshape(score, [0, 1, -1]), *limits)
            chosen = graph.op("Gather", chosen, graph.constant(2, np.int64), axis=1)
            boxes, keypoints = (graph.op("Gather", value, chosen, axis=1) for value in (boxes, keypoints))
        outputs = {"dets": (boxes, [batch, None, 5]), "keypoints": (keypoints, [batch, None, 17, 3])}
        return graph.save(path, [batch, 3, *size], outputs)
    person = graph.op("Mul", score, 0.0)
    rows = graph.op("Concat", boxes, person, graph.reshape(keypoints, [0, 51, -1]), axis=1)
    rows = graph.op("Transpose", rows, perm=[0, 2, 1])
    return graph.save(path, [batch, 3, *size], {"output0": (rows, [batch, None, 57])})


def people(centers: list[tuple[float, float]], size: float, seed: int = 0) -> np.ndarray:
    """Return keypoints of people on whole pixels with shape (N, 17, 2), far enough from each other to be drawn."""
    cells = np.stack(np.meshgrid(np.arange(4), np.arange(5)), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(seed)
    poses = [rng.permutation(cells)[:17] / [3, 4] - 0.5 for _ in centers]
    return np.rint(np.array(poses) * [0.6 * size, size] + np.array(centers)[:, None])


def paint(keypoints: np.ndarray, width: int, height: int, dot: int = DOT) -> np.ndarray:
    picture = np.full((height, width, 3), 128, np.uint8)
    for person in keypoints.astype(int):
        for (x, y), color in zip(person, COLORS, strict=True):
            picture[y - dot : y + dot + 1, x - dot : x + dot + 1] = color
    return picture


def boxes_around(keypoints: np.ndarray) -> np.ndarray:
    return np.concatenate([keypoints.min(axis=1) - 6, keypoints.max(axis=1) + 6], axis=1).astype(float)


def load(path: str, decoding: str = "auto", device: str = "cpu") -> OnnxEstimator:
    return OnnxEstimator(device, EstimationConfig(network_file=path, decoding=decoding))


def errors(found: PoseEstimates, truth: np.ndarray) -> np.ndarray:
    """Return the largest distance of a keypoint of each true person from the nearest person found, px."""
    distance = np.linalg.norm(found.pixels[:, None] - truth[None], axis=3).max(axis=2)
    assert len(found) == len(truth)
    return distance.min(axis=0)


CROWD = people([(150, 140), (420, 260), (690, 150)], 200)  # in a picture of 900x400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.mark.parametrize(
    ("kind", "batch", "size", "tolerance"),
    [
        ("simcc", "n", (256, 192), 0.7),  # RTMPose as published
        ("simcc", 1, (256, 192), 0.7),  # one person at a time
        ("simcc", 2, (256, 192), 0.7),  # a batch that three people do not fill
        ("simcc", "n", (192, 192), 1.0),  # square: only names tell across from down
        ("heatmap", "n", (256, 192), 0.5),  # ViTPose as published
        ("heatmap", 1, (256, 192), 0.5),
        ("heatmap", "n", ("h", "w"), 0.5),  # any size
    ],
)
def test_networks_of_one_person_find_everyone_at_their_pixels(
    folder: Path, kind: str, batch: Any, size: tuple[Any, Any], tolerance: float
) -> None:
    estimator = load(crop_network(folder / "crops.onnx", kind, batch, size))
    found = estimator.estimate(paint(CROWD, 900, 400), boxes_around(CROWD), find=False)
    assert errors(found, CROWD).max() < tolerance
    np.testing.assert_array_less(0.3, found.scores)
    assert (found.scores <= 1).all()
    assert np.abs(found.boxes - boxes_around(CROWD)).max() < 25
    assert np.isnan(found.world).all()


@pytest.mark.parametrize(
    ("kind", "batch", "size", "stride"),
    [
        ("yolo", 1, (640, 640), 32),  # many anchors see the same person
        ("yolo", "n", ("h", "w"), 32),  # any size: a landscape input
        ("yolo26", 1, (640, 640), CELL),
        ("yolo26", 4, (320, 640), CELL),
        ("rtmo", 1, (640, 640), CELL),
        ("rtmo", "n", (640, 640), CELL),
        ("rtmo-nms", 1, (640, 640), 32),
    ],
)
def test_networks_of_the_whole_picture_find_everyone_once(
    folder: Path, kind: str, batch: Any, size: tuple[Any, Any], stride: int
) -> None:
    estimator = load(picture_network(folder / "picture.onnx", kind, batch, size, stride))
    # Scaled by 0.8 into the input, each within a cell of 160 px whether or not the picture is moved to the middle.
    truth = people([(100, 100), (300, 300), (700, 100)], 110, seed=1)
    found = estimator.estimate(paint(truth, 800, 400), NOBODY, find=True)
    assert errors(found, truth).max() < 0.7
    np.testing.assert_allclose(found.person_scores, 0.85, atol=0.06)
    np.testing.assert_allclose(found.scores, 1, atol=1e-2)
    order = np.argsort(found.boxes[:, 0])
    np.testing.assert_allclose(found.boxes[order], boxes_around(truth), atol=2.5)


@pytest.mark.parametrize("kind", ["yolo", "rtmo"])
@pytest.mark.parametrize(("width", "height"), [(400, 800), (1600, 900), (320, 320)])  # portrait, shrunk, enlarged
def test_pictures_of_every_shape_map_back(folder: Path, kind: str, width: int, height: int) -> None:
    estimator = load(picture_network(folder / "shapes.onnx", kind, 1, (640, 640), 16))
    scale = max(width, height) / 640
    truth = people([(width / 2, height / 2)], 110 * scale)
    found = estimator.estimate(paint(truth, width, height, max(2, round(DOT * scale))), NOBODY, find=True)
    found = found.select(found.person_scores > 0.5)
    assert np.abs(found.pixels - truth).max() < 0.5 * max(scale, 1)


def test_large_people_are_cut_without_aliasing(folder: Path) -> None:
    estimator = load(crop_network(folder / "large.onnx", "heatmap"))
    truth = people([(1000, 900)], 1300)
    picture = paint(truth, 2000, 1800, 28)
    picture[::2] //= 2  # stripes that vanish only where every row counts
    picture[1::2] = np.minimum(picture[1::2] * 1.5, 255).astype(np.uint8)
    plain = paint(truth, 2000, 1800, 28)
    found = [estimator.estimate(image, boxes_around(truth), find=False) for image in (plain, picture)]
    assert errors(found[0], truth).max() < 3  # half a pixel of the crop
    crops = frame_people(boxes_around(truth), (256, 192), 1.25, True)
    striped = cut_people(picture, crops, (256, 192))[0].astype(int)
    assert np.abs(np.diff(striped[60:200, 100], axis=0)).max() < 200
    assert np.abs(striped[:, :, 0] - striped[:, :, 1])[128, 5] == 0  # grey stays grey


def test_every_decoding_can_be_asked_for_by_name(folder: Path) -> None:
    paths = {kind: crop_network(folder / f"{kind}.onnx", kind) for kind in ("simcc", "heatmap")}
    paths |= {kind: picture_network(folder / f"{kind}.onnx", kind) for kind in ("rtmo", "yolo")}
    for kind, path in paths.items():
        load(path, kind)
        for other in set(paths) - {kind}:
            with pytest.raises(UnsupportedNetworkError, match=f"decoding {other}"):
                load(path, other)


def test_people_are_found_for_networks_of_one_person(folder: Path, simulated_frames: list[Any]) -> None:
    estimator = load(crop_network(folder / "finder.onnx", "heatmap"))
    estimator.warm_up()
    found = estimator.estimate(simulated_frames[0].color, NOBODY, find=True)
    assert len(found) >= 2
    assert (found.person_scores < 0.5).all()  # they wear no dots
    assert len(estimator.estimate(simulated_frames[0].color, NOBODY, find=False)) == 0


def test_boxes_that_show_nothing_are_left_out(folder: Path) -> None:
    estimator = load(crop_network(folder / "boxes.onnx", "simcc"))
    good = boxes_around(CROWD)
    bad = np.array(
        [
            [np.nan, 0, 10, 10],
            [0, 0, np.inf, 10],
            [50, 50, 50, 90],  # no area
            [90, 90, 50, 50],  # inverted
            [-90, -90, -5, -5],  # outside
            [950, 10, 990, 90],
        ]
    )
    found = estimator.estimate(paint(CROWD, 900, 400), np.concatenate([bad, good]), find=True)
    assert errors(found, CROWD).max() < 0.5
    found = estimator.estimate(paint(CROWD, 900, 400), np.array([[-1e9, -1e9, 1e9, 1e9]]), find=False)
    assert np.isfinite(found.pixels).all()


@pytest.mark.parametrize("outer_pixels", [False, True])
def test_crops_map_back_to_where_they_were_cut(outer_pixels: bool) -> None:
    y, x = np.mgrid[:300, :400]
    ramp = np.stack([x / 2, y / 2, 0 * x], axis=-1).round().astype(np.uint8)
    boxes = np.array([[100, 50, 160, 250], [20, 100, 380, 180], [200.3, 20.7, 230.1, 60.2]])
    crops = frame_people(boxes, (256, 192), 1.25, outer_pixels)
    images = cut_people(ramp, crops, (256, 192)).astype(float)
    points = np.array([[30, 40], [96, 128], [150, 200]])
    for image, where in zip(images, crops.to_picture(np.tile(points.astype(float), (3, 1, 1))), strict=True):
        inside = ((where > 1) & (where < [398, 298])).all(axis=1)
        assert np.abs(2 * image[points[:, 1], points[:, 0], :2] - where)[inside].max() <= 2.1  # two levels of grey
        assert inside.any()


def test_letterbox_maps_back(folder: Path) -> None:
    y, x = np.mgrid[:480, :250]
    image, place = letterbox(np.stack([x, y / 2, 0 * x], axis=-1).round().astype(np.uint8), (640, 640), 114)
    where = place.to_picture(np.array([[[250.0, 100.0], [400.0, 600.0]]]))[0]
    values = image[0, [100, 600], [250, 400], :2] * [1.0, 2.0]
    assert np.abs(values - where).max() <= 2
    assert (image[0, 0, 0] == 114).all()


def test_peaks_of_heatmaps_are_found_between_the_cells() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(5, 40, (20, 17, 2))
    y, x = np.mgrid[:64, :48]
    squared = (x - truth[..., 0, None, None]) ** 2 + (y - truth[..., 1, None, None]) ** 2
    poses = onnx_decoding.decode_heatmaps([0.8 * np.exp(-squared / 8)], (64, 48))
    assert np.abs(poses.pixels - truth).max() < 0.02
    assert (poses.scores <= 0.8).all()
    border = np.zeros((1, 17, 64, 48), np.float32)
    border[..., 0, 47] = 1
    np.testing.assert_allclose(onnx_decoding.decode_heatmaps([border], (64, 48)).pixels, [[[47, 0]] * 17], atol=1)


def test_numbers_that_are_none_do_not_get_out() -> None:
    broken = np.full((1, 17, 64, 48), np.nan, np.float32)
    poses = onnx_decoding.decode_heatmaps([broken], (256, 192))
    assert np.isfinite(poses.pixels).all()
    assert (poses.scores == 0).all()
    rows = np.zeros((1, 3, 57))
    rows[0, :, :5] = [[0, 0, 10, 10, np.nan], [np.nan, 0, 10, 10, 0.9], [0, 0, 10, 10, 0.9]]
    rows[0, 2, 6:9] = np.nan
    found = onnx_decoding.decode_yolo_people([rows])
    assert len(found.scores) == 1
    assert np.isnan(found.pixels[0, 0]).all()
    assert found.scores[0, 0] == 0


def test_anchors_everywhere_are_decoded_in_bounded_number() -> None:
    rng = np.random.default_rng(0)
    result = rng.uniform(0, 640, (1, 56, 8400))
    result[:, 4] = 1
    found = onnx_decoding.decode_yolo_anchors([result])
    assert 0 < len(found.boxes) <= 300


def test_other_classes_than_people_are_left_out() -> None:
    rows = np.zeros((1, 2, 57))
    rows[0, :, :6] = [[0, 0, 10, 10, 0.9, 0], [0, 0, 10, 10, 0.9, 1]]
    assert len(onnx_decoding.decode_yolo_people([rows]).boxes) == 1


@pytest.mark.parametrize("count", [26, 133])
def test_larger_sets_that_begin_with_coco_are_cut(folder: Path, count: int) -> None:
    graph = _Graph()
    heatmaps = graph.op("Conv", "input", graph.constant(np.zeros((count, 3, 4, 4))), strides=[4, 4])
    path = graph.save(folder / "more.onnx", ["n", 3, 256, 192], {"heatmaps": (heatmaps, ["n", count, 64, 48])})
    found = load(path).estimate(np.zeros((100, 100, 3), np.uint8), np.array([[10.0, 10, 90, 90]]), find=False)
    assert found.scores.shape == (1, 17)


def _plain(folder: Path, outputs: dict[str, list[Any]], shape: list[Any] | None = None) -> str:
    """Write a network whose results are zeros of some shape, computed from its input."""
    graph = _Graph()
    zero = graph.op("Mul", graph.op("ReduceMean", "input", keepdims=0), 0.0)
    made = {}
    for name, size in outputs.items():
        made[name] = (graph.op("Expand", zero, graph.constant(size, np.int64)), size)
    return graph.save(folder / "plain.onnx", shape or [1, 3, 640, 640], made)


@pytest.mark.parametrize(
    "outputs",
    [
        {"heatmaps": [1, 14, 160, 160]},  # CrowdPose's 14 keypoints
        {"heatmaps": [1, 17, 160, 120]},  # another aspect ratio than the input
        {"logits": [1, 1000]},  # a classifier
        {"simcc_x": [1, 17, 1280], "simcc_y": [1, 17, 640]},  # more bins across than down
        {"simcc_x": [1, 17, 1280], "simcc_y": [1, 16, 1280]},
        {"dets": [1, 100, 5], "keypoints": [1, 100, 17, 2]},  # no scores
        {"dets": [1, 100, 5], "labels": [1, 100]},  # a detector
        {"output0": [1, 84, 8400]},  # YOLO for 80 classes of things
        {"output0": [1, 300, 6]},  # YOLO26 for things
        {"output0": [1, 39, 8400]},  # keypoints without scores
        {"output0": [1, 25200, 57]},  # YOLOv5, YOLOv7
        {"output0": [1, 56, 8400], "more": [1]},
    ],
)
def test_results_of_no_known_layout_are_refused_by_name_and_shape(folder: Path, outputs: dict[str, list[Any]]) -> None:
    with pytest.raises(UnsupportedNetworkError) as error:
        load(_plain(folder, outputs))
    assert all(name in str(error.value) for name in outputs)
    assert "17, 26, 133" in str(error.value)


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ([1, 640, 640, 3], "batch, 3, height, width"),  # channels last
        ([1, 1, 640, 640], "batch, 3, height, width"),  # grey
        ([3, 640, 640], "batch, 3, height, width"),
        ([1, 3, 100000, 100000], "2048"),
    ],
)
def test_inputs_that_are_no_images_are_refused(folder: Path, shape: list[int], match: str) -> None:
    with pytest.raises(UnsupportedNetworkError, match=match):
        load(_plain(folder, {"output0": [1, 56, 8400]}, shape))


def test_files_that_are_no_networks_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="network_file"):
        load("")
    for path in (folder / "missing.onnx", folder):
        with pytest.raises(ConfigurationError, match="not there"):
            load(str(path))
    whole = Path(crop_network(folder / "whole.onnx", "heatmap")).read_bytes()
    for content in (b"", b"hello world", whole[: len(whole) // 2], b"\x80\x04\x95"):
        (folder / "broken.onnx").write_bytes(content)
        with pytest.raises(UnsupportedNetworkError, match=r"broken\.onnx"):
            load(str(folder / "broken.onnx"))


def test_weights_in_another_file_must_lie_beside_it(folder: Path) -> None:
    model = onnx.load(crop_network(folder / "inside.onnx", "heatmap"))
    beside = folder / "beside"
    beside.mkdir()
    onnx.save(model, beside / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=0)
    found = load(str(beside / "a.onnx")).estimate(paint(CROWD, 900, 400), boxes_around(CROWD), find=False)
    assert errors(found, CROWD).max() < 0.5
    (beside / "a.data").rename(folder / "a.data")
    with pytest.raises(UnsupportedNetworkError, match="beside it"):
        load(str(beside / "a.onnx"))


def test_unknown_operators_are_named(folder: Path) -> None:
    model = onnx.load(crop_network(folder / "operators.onnx", "heatmap"))
    model.graph.node[0].op_type = "Frobnicate"
    (folder / "operators.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedNetworkError, match="Frobnicate"):
        load(str(folder / "operators.onnx"))


def test_several_inputs_and_integers_are_refused(folder: Path) -> None:
    for count, kind, match in ((2, TensorProto.FLOAT, "2 inputs"), (1, TensorProto.INT64, "normalised")):
        infos = [helper.make_tensor_value_info(f"i{k}", kind, [1, 3, 64, 64]) for k in range(count)]
        nodes = [helper.make_node("Identity", ["i0"], ["o"])]
        if count == 2:
            nodes = [helper.make_node("Add", ["i0", "i1"], ["o"])]
        graph = helper.make_graph(nodes, "g", infos, [helper.make_tensor_value_info("o", kind, [1, 3, 64, 64])])
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "i.onnx"
        )
        with pytest.raises(UnsupportedNetworkError, match=match):
            load(str(folder / "i.onnx"))


def test_half_precision_files_run(folder: Path) -> None:
    graph = _Graph()
    cast = graph.op("Cast", "input", to=TensorProto.FLOAT)
    heatmaps = graph.op("Conv", cast, graph.constant(np.zeros((17, 3, 4, 4))), strides=[4, 4])
    path = graph.save(folder / "half.onnx", [1, 3, 256, 192], {"heatmaps": (heatmaps, [1, 17, 64, 48])})
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, path)
    found = load(path).estimate(np.zeros((100, 100, 3), np.uint8), np.array([[10.0, 10, 90, 90]]), find=False)
    assert (found.scores == 0).all()


def test_cuda_needs_a_device_and_its_runtime(folder: Path) -> None:
    path = crop_network(folder / "cuda.onnx", "heatmap")
    if importlib.util.find_spec("onnxruntime") is not None:
        pytest.skip("ONNX Runtime is there")
    with pytest.raises(DeviceError, match="cpu"):  # what to do instead
        load(path, device="cuda")

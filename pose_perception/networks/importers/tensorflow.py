"""TensorFlow graphs as PyTorch modules, cut off at chosen tensors; TensorFlow itself is not needed.

`read_tfjs` reads graph models of TensorFlow.js (topology as JSON, weights in one binary file, see
https://github.com/tensorflow/tfjs, Apache-2.0); `import_tensorflow` converts what a reader returns.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pose_perception.errors import UnsupportedNetworkError
from pose_perception.networks.importers import layers
from pose_perception.networks.importers.graph import INPUT, Graph, GraphBuilder

# Axes of the graph (N, H, W, C) where the layers have (N, C, H, W).
_CHANNELS_FIRST_AXIS = (0, 2, 3, 1)


@dataclass(frozen=True)
class TensorflowNode:
    """One operation.

    Attributes:
        name: Name of the node and of its first result.
        kind: Operator.
        inputs: Names of the tensors that it takes.
        attributes: Decoded attributes; texts are `str`.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TensorflowGraph:
    """A graph independent of the file that it came from.

    Attributes:
        nodes: Operations by name.
        constants: Values of the constants by name.
    """

    nodes: Mapping[str, TensorflowNode]
    constants: Mapping[str, np.ndarray]


def read_tfjs(topology: bytes, weights: bytes) -> TensorflowGraph:
    """Read a TensorFlow.js graph model.

    Args:
        topology: The `.json` file.
        weights: The binary shards that it lists, joined.

    Raises:
        UnsupportedNetworkError: this is no such model.
    """
    try:
        model = json.loads(topology)
        manifest = [item for group in model["weightsManifest"] for item in group["weights"]]
        entries = model["modelTopology"]["node"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnsupportedNetworkError(f"not a TensorFlow.js graph model: {error!r}") from error
    nodes = {}
    for entry in entries:
        attributes = {key: _decode(value) for key, value in entry.get("attr", {}).items() if key not in ("value",)}
        inputs = tuple(item.removesuffix(":0") for item in entry.get("input", ()))
        nodes[entry["name"]] = TensorflowNode(entry["name"], entry["op"], inputs, attributes)
    return TensorflowGraph(nodes, _read_weights(manifest, weights))


def import_tensorflow(
    graph: TensorflowGraph,
    input_tensor: str,
    input_size: tuple[int, int],
    outputs: Mapping[str, str],
    scale: float,
    offset: float,
) -> Graph:
    """Turn the part of a graph between its normalised input and chosen tensors into a PyTorch module.

    Args:
        graph: What a reader returned.
        input_tensor: Name of the normalised image.
        input_size: (height, width) in pixels.
        outputs: What the module returns: name of the result to name of the tensor.
        scale: Factor from pixel values 0 to 255 to the network's range.
        offset: Added after scaling.

    Raises:
        UnsupportedNetworkError: an operator is not known here, or a tensor does not exist.
    """
    importer = _TensorflowImporter(graph, GraphBuilder(input_tensor, input_size))
    for name in outputs.values():
        importer.require(name)
    return importer.builder.build(outputs, scale, offset)


class _TensorflowImporter:
    """State of one import: the layers made so far, and shapes computed by the graph itself."""

    def __init__(self, graph: TensorflowGraph, builder: GraphBuilder) -> None:
        self._graph = graph
        self.builder = builder

    def require(self, name: str) -> None:
        """Make the tensor `name` and, before it, everything that it needs."""
        stack = [name]
        while stack:
            current = stack[-1]
            if self.builder.knows(current) or current in self._graph.constants:
                stack.pop()
                continue
            node = self._graph.nodes.get(current)
            if node is None:
                raise UnsupportedNetworkError(f"the graph has no tensor {current}")
            method = getattr(self, f"_make_{node.kind.strip('_').lower()}", None)
            if method is None:
                raise UnsupportedNetworkError(f"TensorFlow operator {node.kind} of {current} is not supported")
            inputs = node.inputs[:1] if node.kind == "ResizeBilinear" else node.inputs
            missing = [i for i in inputs if not self.builder.knows(i) and i not in self._graph.constants]
            stack.extend(missing)
            if not missing:
                images = [i for i in inputs if self.builder.knows(i)]
                self.builder.add(current, method(node), images)
                stack.pop()

    def _weight(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self._graph.constants[name], np.float32))

    def _window(self, node: TensorflowNode, kernel: tuple[int, int]) -> dict[str, Any]:
        attributes = node.attributes
        stride = tuple(attributes["strides"][1:3])
        dilation = tuple((attributes.get("dilations") or (1, 1, 1, 1))[1:3])
        if attributes.get("data_format", "NHWC") != "NHWC":
            raise UnsupportedNetworkError(f"{node.name}: only channels-last graphs are supported")
        if attributes["padding"] not in ("SAME", "VALID"):
            raise UnsupportedNetworkError(f"{node.name}: padding {attributes['padding']} is not supported")
        padding = (0, 0, 0, 0)
        if attributes["padding"] == "SAME":
            padding = layers.same_padding(self.builder.shape(node.inputs[0])[2:], kernel, stride, dilation)
        return {"stride": stride, "dilation": dilation, "padding": padding}

    def _fused(self, node: TensorflowNode) -> tuple[Tensor | None, str | None]:
        """Return the bias and the activation folded into a convolution."""
        names = [name.lower() for name in node.attributes.get("fused_ops", ())]
        bias = self._weight(node.inputs[2]) if "biasadd" in names else None
        rest = [name for name in names if name != "biasadd"]
        if len(rest) > 1:
            raise UnsupportedNetworkError(f"{node.name}: fused operators {names} are not supported")
        return bias, rest[0] if rest else None

    def _make_fusedconv2d(self, node: TensorflowNode) -> nn.Module:
        weight = self._weight(node.inputs[1]).permute(3, 2, 0, 1).contiguous()
        bias, fused = self._fused(node)
        return layers.Convolution(weight, bias, fused=fused, **self._window(node, tuple(weight.shape[2:])))

    def _make_conv2d(self, node: TensorflowNode) -> nn.Module:
        return self._make_fusedconv2d(node)

    def _make_fuseddepthwiseconv2dnative(self, node: TensorflowNode) -> nn.Module:
        weight = self._weight(node.inputs[1])  # (height, width, channels, multiplier)
        height, width, channels, multiplier = weight.shape
        weight = weight.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
        bias, fused = self._fused(node)
        window = self._window(node, (height, width))
        return layers.Convolution(weight, bias, groups=channels, fused=fused, **window)

    def _make_depthwiseconv2dnative(self, node: TensorflowNode) -> nn.Module:
        return self._make_fuseddepthwiseconv2dnative(node)

    def _make_addv2(self, node: TensorflowNode) -> nn.Module:
        return self._elementwise("add", node)

    def _make_add(self, node: TensorflowNode) -> nn.Module:
        return self._elementwise("add", node)

    def _make_mul(self, node: TensorflowNode) -> nn.Module:
        return self._elementwise("mul", node)

    def _elementwise(self, operator: str, node: TensorflowNode) -> nn.Module:
        constants = [self._graph.constants[name] for name in node.inputs if name in self._graph.constants]
        if any(constant.size != 1 for constant in constants):
            raise UnsupportedNetworkError(f"{node.name}: of constants only single numbers are supported")
        return layers.Elementwise(operator, torch.tensor(float(constants[0])) if constants else None)

    def _make_relu(self, _: TensorflowNode) -> nn.Module:
        return nn.ReLU()

    def _make_relu6(self, _: TensorflowNode) -> nn.Module:
        return nn.ReLU6()

    def _make_mean(self, node: TensorflowNode) -> nn.Module:
        axes = [_CHANNELS_FIRST_AXIS[axis] for axis in self._integers(node.inputs[1])]
        return layers.Mean(axes, bool(node.attributes.get("keep_dims")))

    def _make_concatv2(self, node: TensorflowNode) -> nn.Module:
        return layers.Concatenate(_CHANNELS_FIRST_AXIS[int(self._graph.constants[node.inputs[-1]])])

    def _make_maxpool(self, node: TensorflowNode) -> nn.Module:
        kernel = tuple(node.attributes["ksize"][1:3])
        window = self._window(node, kernel)
        return layers.MaxPool(kernel, window["stride"], window["padding"])

    def _make_sigmoid(self, _: TensorflowNode) -> nn.Module:
        return nn.Sigmoid()

    def _make_resizebilinear(self, node: TensorflowNode) -> nn.Module:
        if node.attributes.get("align_corners"):
            raise UnsupportedNetworkError(f"{node.name}: aligned corners are not supported")
        if not node.attributes.get("half_pixel_centers"):
            return self._doubling(node)
        height, width = self._integers(node.inputs[1])
        return layers.Resize((height, width))

    def _doubling(self, node: TensorflowNode) -> nn.Module:
        """Make the resampling of TensorFlow 1, which is only known here for maps that get twice as large.

        A size that the graph holds as a constant belongs to the input size that it was exported with.
        """
        entry = next(entry for entry in self._graph.nodes.values() if entry.kind == "Placeholder")
        wanted = self._integers(node.inputs[1])
        for axis, (target, own) in enumerate(zip(wanted, self.builder.shape(node.inputs[0])[2:], strict=True)):
            entered, now = int(entry.attributes["shape"]["dim"][1 + axis]["size"]), self.builder.shape(INPUT)[2 + axis]
            if target * now != 2 * own * entered:
                raise UnsupportedNetworkError(f"{node.name}: without half-pixel centres only doubling is supported")
        return layers.Doubling()

    def _integers(self, name: str) -> list[int]:
        """Compute a size that the graph derives from the shape of a tensor."""
        if name in self._graph.constants:
            return self._graph.constants[name].astype(int).tolist()
        node = self._graph.nodes[name]
        if node.kind == "Shape":
            batch, channels, height, width = self.builder.shape(node.inputs[0])
            return [batch, height, width, channels]
        if node.kind == "StridedSlice":
            values, begin, end, step = (self._integers(item) for item in node.inputs)
            return values[begin[0] : end[0] : step[0]]
        if node.kind == "Mul":
            return [a * b for a, b in zip(*(self._integers(item) for item in node.inputs), strict=True)]
        raise UnsupportedNetworkError(f"{name}: a size computed with {node.kind} is not supported")


def _decode(value: dict[str, Any]) -> Any:
    """Return the plain value of an attribute."""
    if "list" in value:
        return [_decode({key: item}) for key, items in value["list"].items() for item in items]
    ((kind, content),) = value.items()
    if kind == "s":
        return base64.b64decode(content).decode()
    return int(content) if kind == "i" else content


def _read_weights(manifest: list[dict[str, Any]], content: bytes) -> dict[str, np.ndarray]:
    constants, position = {}, 0
    for item in manifest:
        quantization = item.get("quantization", {})
        dtype = np.dtype(quantization.get("dtype", item["dtype"]))
        count = int(np.prod(item["shape"], dtype=int))
        if position + count * dtype.itemsize > len(content):
            raise UnsupportedNetworkError("the weights file is shorter than its topology says")
        values = np.frombuffer(content, dtype, count, position).reshape(item["shape"])
        position += values.nbytes
        if dtype.kind == "u" and "scale" in quantization:
            values = values.astype(np.float32) * quantization["scale"] + quantization["min"]
        constants[item["name"]] = values.astype(item["dtype"])
    return constants

"""TensorFlow Lite files as PyTorch modules.

Layout of the file: the TFLite schema (https://www.tensorflow.org/lite/api_docs/cc, Apache-2.0), read by the package
`tflite` that is generated from it. Operators are those of the MediaPipe networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tflite
import torch
from torch import Tensor, nn

from pose_perception.errors import UnsupportedNetworkError
from pose_perception.networks.importers import layers
from pose_perception.networks.importers.graph import Graph, GraphBuilder

_DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}
_OPERATORS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}
_ACTIVATIONS = {
    tflite.ActivationFunctionType.NONE: None,
    tflite.ActivationFunctionType.RELU: "relu",
    tflite.ActivationFunctionType.RELU6: "relu6",
}
# Axes of (N, H, W, C) counted in (N, C, H, W).
_CHANNELS_FIRST_AXIS = (0, 2, 3, 1)


def import_tflite(content: bytes, outputs: Mapping[str, str], scale: float, offset: float) -> Graph:
    """Turn a TFLite file with one image input into a PyTorch module.

    Args:
        content: The file.
        outputs: What the module returns: name of the result to name of the tensor in the file.
        scale: Factor from pixel values 0 to 255 to the network's range.
        offset: Added after scaling.

    Raises:
        UnsupportedNetworkError: the file is no TFLite network or uses an operator that is not known here.
    """
    if content[4:8] != b"TFL3":
        raise UnsupportedNetworkError("not a TFLite file: its identifier is missing")
    return _TfliteImporter(tflite.Model.GetRootAs(content)).run(outputs, scale, offset)


class _TfliteImporter:
    """State of one import: constants already read and layers made so far."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._graph = model.Subgraphs(0)
        image = self._graph.Tensors(self._graph.Inputs(0))
        _, height, width, channels = image.ShapeAsNumpy()
        if channels != 3:
            raise UnsupportedNetworkError(f"the input must have 3 channels, it has {channels}")
        self._builder = GraphBuilder(self._name(self._graph.Inputs(0)), (int(height), int(width)))
        self._constants: dict[int, np.ndarray] = {}

    def run(self, outputs: Mapping[str, str], scale: float, offset: float) -> Graph:
        named = {}
        for k in range(self._graph.OutputsLength()):
            index = self._graph.Outputs(k)
            named[self._graph.Tensors(index).Name().decode()] = self._name(index)
        for i in range(self._graph.OperatorsLength()):
            self._convert(self._graph.Operators(i))
        return self._builder.build({key: named.get(name, name) for key, name in outputs.items()}, scale, offset)

    def _convert(self, operator: Any) -> None:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        # Old files keep the code in a byte that the newer field supersedes.
        kind = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = [int(i) for i in operator.InputsAsNumpy()]
        output = int(operator.Outputs(0))
        if kind in ("DEQUANTIZE", "DENSIFY"):
            self._constants[output] = self._constant(inputs[0])
            return
        method = getattr(self, f"_make_{kind.lower()}", None)
        if method is None:
            raise UnsupportedNetworkError(f"TFLite operator {kind} is not supported")
        options = _options(operator, kind)
        layer = method(inputs, options, output)
        tensors = [i for i in inputs if i >= 0 and self._builder.knows(self._name(i))]
        self._builder.add(self._name(output), layer, [self._name(i) for i in tensors])

    def _name(self, index: int) -> str:
        # The index keeps names apart: files may use one name twice.
        return f"{self._graph.Tensors(index).Name().decode()}:{index}"

    def _constant(self, index: int) -> np.ndarray:
        if index not in self._constants:
            tensor = self._graph.Tensors(index)
            content = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
            if tensor.Type() not in _DTYPES or isinstance(content, int):
                raise UnsupportedNetworkError(f"tensor {tensor.Name().decode()} is no float or int32 constant")
            values = content.view(_DTYPES[tensor.Type()])
            shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
            values = values.reshape(shape) if tensor.Sparsity() is None else _densify(values, shape, tensor.Sparsity())
            self._constants[index] = values.astype(np.float32) if values.dtype == np.float16 else values
        return self._constants[index]

    def _weight(self, index: int) -> Tensor:
        return torch.from_numpy(self._constant(index).astype(np.float32))

    def _bias(self, inputs: list[int]) -> Tensor | None:
        return self._weight(inputs[2]) if len(inputs) > 2 and inputs[2] >= 0 else None

    def _size(self, index: int) -> tuple[int, ...]:
        """Return (height, width) of an image tensor."""
        return self._builder.shape(self._name(index))[2:]

    def _window(self, index: int, kernel: tuple[int, int], options: Any) -> dict[str, Any]:
        stride = (options.StrideH(), options.StrideW())
        dilation = (1, 1)
        if hasattr(options, "DilationHFactor"):
            dilation = (options.DilationHFactor(), options.DilationWFactor())
        padding = (0, 0, 0, 0)
        if options.Padding() == tflite.Padding.SAME:
            padding = layers.same_padding(self._size(index), kernel, stride, dilation)
        return {"stride": stride, "dilation": dilation, "padding": padding}

    def _make_conv_2d(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        weight = self._weight(inputs[1]).permute(0, 3, 1, 2).contiguous()
        window = self._window(inputs[0], tuple(weight.shape[2:]), options)
        return layers.Convolution(weight, self._bias(inputs), fused=_fused(options), **window)

    def _make_depthwise_conv_2d(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        weight = self._weight(inputs[1]).permute(3, 0, 1, 2).contiguous()
        groups = self._builder.shape(self._name(inputs[0]))[1]
        window = self._window(inputs[0], tuple(weight.shape[2:]), options)
        return layers.Convolution(weight, self._bias(inputs), groups=groups, fused=_fused(options), **window)

    def _make_fully_connected(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        return layers.Linear(self._weight(inputs[1]), self._bias(inputs), _fused(options))

    def _make_add(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        return self._elementwise("add", inputs, options)

    def _make_mul(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        return self._elementwise("mul", inputs, options)

    def _elementwise(self, operator: str, inputs: list[int], options: Any) -> nn.Module:
        constants = [i for i in inputs if not self._builder.knows(self._name(i))]
        constant = None
        if constants:
            values = self._weight(constants[0])
            constant = layers.to_channels_first(values.reshape((1,) * (4 - values.dim()) + tuple(values.shape)))
        return layers.Elementwise(operator, constant, _fused(options))

    def _make_prelu(self, inputs: list[int], _: Any, __: int) -> nn.Module:
        slope = self._weight(inputs[1])
        if slope.numel() != slope.shape[-1]:
            raise UnsupportedNetworkError("PRELU with a slope per pixel is not supported, only per channel")
        return layers.PRelu(slope.reshape(-1))

    def _make_relu(self, *_: Any) -> nn.Module:
        return nn.ReLU()

    def _make_logistic(self, *_: Any) -> nn.Module:
        return nn.Sigmoid()

    def _make_pad(self, inputs: list[int], _: Any, __: int) -> nn.Module:
        amounts = self._constant(inputs[1]).tolist()
        # From the last axis to the first, as torch wants it: W, H, C; the batch is never padded.
        return layers.Pad([value for axis in (2, 1, 3) for value in amounts[axis]])

    def _make_max_pool_2d(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        kernel = (options.FilterHeight(), options.FilterWidth())
        window = self._window(inputs[0], kernel, options)
        return layers.MaxPool(kernel, window["stride"], window["padding"])

    def _make_resize_bilinear(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        if not options.HalfPixelCenters() or options.AlignCorners():
            raise UnsupportedNetworkError("RESIZE_BILINEAR is only supported with half-pixel centres")
        height, width = self._constant(inputs[1]).tolist()
        return layers.Resize((height, width))

    def _make_depth_to_space(self, _: list[int], options: Any, __: int) -> nn.Module:
        return layers.DepthToSpace(options.BlockSize())

    def _make_reshape(self, _: list[int], __: Any, output: int) -> nn.Module:
        return layers.Reshape(self._graph.Tensors(output).ShapeAsNumpy()[1:].tolist())

    def _make_mean(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        axes = [_CHANNELS_FIRST_AXIS[axis] for axis in np.atleast_1d(self._constant(inputs[1])).tolist()]
        return layers.Mean(axes, options.KeepDims())

    def _make_concatenation(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        rank = len(self._builder.shape(self._name(inputs[0])))
        axis = options.Axis() % rank
        return layers.Concatenate(_CHANNELS_FIRST_AXIS[axis] if rank == 4 else axis)

    def _make_strided_slice(self, inputs: list[int], options: Any, _: int) -> nn.Module:
        if options.NewAxisMask() or options.ShrinkAxisMask() or options.EllipsisMask():
            raise UnsupportedNetworkError("STRIDED_SLICE that changes the rank is not supported")
        begin, end, step = (self._constant(i).tolist() for i in inputs[1:4])
        ranges = []
        for axis in range(len(begin)):
            start = None if options.BeginMask() >> axis & 1 else begin[axis]
            stop = None if options.EndMask() >> axis & 1 else end[axis]
            ranges.append((start, stop, step[axis]))
        order = (3, 1, 2) if len(ranges) == 4 else range(1, len(ranges))
        return layers.Slice([ranges[axis] for axis in order])


def _options(operator: Any, kind: str) -> Any:
    """Return the typed options of an operator, None where it has none."""
    table = operator.BuiltinOptions()
    names = {
        "CONV_2D": "Conv2DOptions",
        "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
        "FULLY_CONNECTED": "FullyConnectedOptions",
        "ADD": "AddOptions",
        "MUL": "MulOptions",
        "MAX_POOL_2D": "Pool2DOptions",
        "RESIZE_BILINEAR": "ResizeBilinearOptions",
        "DEPTH_TO_SPACE": "DepthToSpaceOptions",
        "MEAN": "ReducerOptions",
        "CONCATENATION": "ConcatenationOptions",
        "STRIDED_SLICE": "StridedSliceOptions",
    }
    if kind not in names:
        return None
    options = getattr(tflite, names[kind])()
    if table is not None:
        options.Init(table.Bytes, table.Pos)
    return options


def _fused(options: Any) -> str | None:
    code = options.FusedActivationFunction()
    if code not in _ACTIVATIONS:
        raise UnsupportedNetworkError(f"TFLite activation number {code} is not supported")
    return _ACTIVATIONS[code]


def _densify(values: np.ndarray, shape: np.ndarray, sparsity: Any) -> np.ndarray:
    """Expand a sparse constant: each axis is dense, or lists the indices present under each prefix."""
    if sparsity.BlockMapLength() or sparsity.TraversalOrderAsNumpy().tolist() != list(range(len(shape))):
        raise UnsupportedNetworkError("sparse constants are only supported without blocks and in natural order")
    prefixes = np.zeros((1, 0), np.int64)  # (entries, axes so far)
    for axis in range(len(shape)):
        metadata = sparsity.DimMetadata(axis)
        if metadata.Format() == tflite.DimensionType.DENSE:
            repeats = np.full(len(prefixes), metadata.DenseSize())
            indices = np.tile(np.arange(metadata.DenseSize()), len(prefixes))
        else:
            segments = _index_vector(metadata.ArraySegments(), metadata.ArraySegmentsType())
            indices = _index_vector(metadata.ArrayIndices(), metadata.ArrayIndicesType())
            repeats = np.diff(segments)
        prefixes = np.column_stack([np.repeat(prefixes, repeats, axis=0), indices])
    dense = np.zeros(shape, values.dtype)
    dense[tuple(prefixes.T)] = values[: len(prefixes)]
    return dense


def _index_vector(table: Any, kind: int) -> np.ndarray:
    names = {1: "Int32Vector", 2: "Uint16Vector", 3: "Uint8Vector"}
    vector = getattr(tflite, names[kind])()
    vector.Init(table.Bytes, table.Pos)
    return vector.ValuesAsNumpy().astype(np.int64)

"""Reader of frozen TensorFlow graphs (`GraphDef`, `.pb`); TensorFlow and protobuf are not needed.

Field numbers are those of graph.proto, node_def.proto, attr_value.proto, tensor.proto and tensor_shape.proto in
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/framework (Apache-2.0); the encoding is described
in https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from pose_perception.errors import UnsupportedNetworkError
from pose_perception.networks.importers.tensorflow import TensorflowGraph, TensorflowNode

# DataType of types.proto: NumPy's name, field of TensorProto that lists values one by one, and their encoding.
_TYPES = {
    1: ("<f4", 5, "<f4"),
    2: ("<f8", 6, "<f8"),
    3: ("<i4", 7, "varint"),
    4: ("|u1", 7, "varint"),
    6: ("|i1", 7, "varint"),
    9: ("<i8", 10, "varint"),
    10: ("|b1", 11, "varint"),
    19: ("<f2", 13, "varint"),  # the bits of the half as an integer
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Message = dict[int, list[Any]]
_FUSED = {"Conv2D": "_FusedConv2D", "DepthwiseConv2dNative": "FusedDepthwiseConv2dNative"}


def read_graphdef(content: bytes) -> TensorflowGraph:
    """Read a frozen graph.

    Args:
        content: The `.pb` file.

    Raises:
        UnsupportedNetworkError: this is no such file, or it holds constants of a kind that no network here needs.
    """
    try:
        entries = [_parse(item) for item in _parse(memoryview(content)).get(1, ())]
        nodes = [_read_node(entry) for entry in entries]
        constants = {
            node.name: node.attributes["value"]
            for node in nodes
            if node.kind == "Const" and isinstance(node.attributes.get("value"), np.ndarray)
        }
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise UnsupportedNetworkError(f"not a frozen TensorFlow graph: {error!r}") from error
    if not nodes:
        raise UnsupportedNetworkError("not a frozen TensorFlow graph: it has no nodes")
    return TensorflowGraph({node.name: node for node in nodes}, constants)


def fuse_convolutions(graph: TensorflowGraph) -> TensorflowGraph:
    """Fold what follows a convolution, bias and activation, into it, as TensorFlow.js stores its graphs.

    The tensor in between vanishes; nothing else needs it.
    """
    uses = Counter(name for node in graph.nodes.values() for name in node.inputs)
    nodes = dict(graph.nodes)
    for kinds in (("BiasAdd",), ("Relu", "Relu6")):
        for node in [node for node in nodes.values() if node.kind in kinds]:
            before = nodes.get(node.inputs[0])
            if before is None or before.kind not in {*_FUSED, *_FUSED.values()} or uses[before.name] > 1:
                continue
            steps = [*before.attributes.get("fused_ops", ()), node.kind]
            kind = _FUSED.get(before.kind, before.kind)
            inputs = (*before.inputs, *node.inputs[1:])
            nodes[node.name] = TensorflowNode(node.name, kind, inputs, {**before.attributes, "fused_ops": steps})
            del nodes[before.name]
    return replace(graph, nodes=nodes)


def swap_red_and_blue(graph: TensorflowGraph, input_tensor: str) -> TensorflowGraph:
    """Return the graph with weights for RGB images in place of BGR ones.

    Raises:
        UnsupportedNetworkError: something else than a convolution takes the image.
    """
    constants = dict(graph.constants)
    for node in graph.nodes.values():
        if input_tensor in node.inputs:
            if node.kind not in ("Conv2D", "_FusedConv2D"):
                raise UnsupportedNetworkError(f"{node.name}: the channels of a {node.kind} cannot be swapped")
            constants[node.inputs[1]] = graph.constants[node.inputs[1]][:, :, ::-1]
    return replace(graph, constants=constants)


def _read_node(entry: _Message) -> TensorflowNode:
    name, kind = _text(entry[1][-1]), _text(entry[2][-1])
    attributes = {}
    for item in map(_parse, entry.get(5, ())):
        key = _text(item[1][-1])
        # Values of other operators, and the shapes and types that the optimiser of TensorFlow leaves, are of no use.
        if key != "value" or kind == "Const":
            attributes[key] = _read_attribute(_parse(item[2][-1]))
    inputs = tuple(_text(item).removesuffix(":0") for item in entry.get(3, ()))
    # "^name" only says that the other node runs before.
    return TensorflowNode(name, kind, tuple(item for item in inputs if not item.startswith("^")), attributes)


def _read_attribute(value: _Message) -> Any:
    """Return the plain value of an AttrValue; None for types and shapes."""
    if 1 in value:
        items = _parse(value[1][-1])
        return [_text(item) for item in items.get(2, ())] or _integers(items.get(3, ()))
    if 2 in value:
        return _text(value[2][-1])
    if 3 in value:
        return _integers(value[3])[-1]
    if 4 in value:
        return float(np.frombuffer(value[4][-1], "<f4")[0])
    if 5 in value:
        return bool(value[5][-1])
    return _read_tensor(_parse(value[8][-1])) if 8 in value else None


def _read_tensor(tensor: _Message) -> np.ndarray:
    kind = tensor.get(1, [0])[-1]
    if kind not in _TYPES:
        raise UnsupportedNetworkError(f"constants of TensorFlow's data type {kind} are not supported")
    name, field, encoding = _TYPES[kind]
    dimensions = [_parse(item) for item in _parse(tensor[2][-1]).get(2, ())] if 2 in tensor else []
    shape = [_integers(dimension.get(1, [0]))[-1] for dimension in dimensions]
    if 4 in tensor:
        return np.frombuffer(tensor[4][-1], name).reshape(shape)
    if encoding == "varint":
        values = np.array(_integers(tensor.get(field, ())))
        values = values.astype("<u2").view(name) if kind == 19 else values.astype(name)
    else:
        values = np.frombuffer(b"".join(tensor.get(field, ())), encoding)
    count = int(np.prod(shape, dtype=int))
    # The last value stands for all that follow, and no value for zeros.
    values = (values if len(values) else np.zeros(1, name))[:count]
    return np.pad(values, (0, count - len(values)), mode="edge").reshape(shape)


def _integers(values: Any) -> list[int]:
    """Return signed integers, packed or one by one."""
    found = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = _read_varint(value, position)
            found.append(number)
    return [number - (1 << 64) if number >> 63 else number for number in found]


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _parse(content: memoryview) -> _Message:
    """Return the fields of a message by number: integers, or the bytes of everything else."""
    fields, position = defaultdict(list), 0
    while position < len(content):
        tag, position = _read_varint(content, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _read_varint(content, position)
        elif kind in (_BYTES, _FIXED32, _FIXED64):
            if kind == _BYTES:
                length, position = _read_varint(content, position)
            else:
                length = 4 if kind == _FIXED32 else 8
            if position + length > len(content):
                raise ValueError("the file ends in the middle")
            value, position = content[position : position + length], position + length
        else:
            raise ValueError(f"wire type {kind}")
        fields[tag >> 3].append(value)
    return fields


def _read_varint(content: memoryview, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while shift < 64:
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("an integer has more than 64 bits")

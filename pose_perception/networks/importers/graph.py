"""A network as a chain of named layers: what every importer builds and every runtime executes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pose_perception.errors import UnsupportedNetworkError
from pose_perception.networks.importers.layers import to_channels_last

INPUT = "images"


class Node(NamedTuple):
    """One layer of a graph and the tensors that it joins.

    Attributes:
        name: Name of the tensor that the layer makes.
        layer: The operator.
        inputs: Names of the tensors that it takes.
    """

    name: str
    layer: nn.Module
    inputs: tuple[str, ...]


class Graph(nn.Module):
    """Executes layers in order. The parameters of a layer are named after the tensor that it makes.

    Args:
        nodes: Layers in an order in which every input exists.
        outputs: What to return: name of the result to name of the tensor; layers that serve none are left out.
        scale: Factor from pixel values 0 to 255 to the network's range.
        offset: Added after scaling.
    """

    def __init__(self, nodes: Sequence[Node], outputs: Mapping[str, str], scale: float, offset: float) -> None:
        super().__init__()
        used = _reachable(nodes, outputs.values())
        self.plan = [(_identifier(node.name), node.name, node.inputs) for node in nodes if node.name in used]
        self.layers = nn.ModuleDict({_identifier(node.name): node.layer for node in nodes if node.name in used})
        self.output_names = tuple(outputs)
        self.output_tensors = tuple(outputs.values())
        self.scale, self.offset = scale, offset

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            images: RGB 0 to 255 with shape (N, H, W, 3), any type.

        Returns:
            One float tensor per name in `output_names`, batch first, channels last.
        """
        precision = next(self.parameters()).dtype
        tensors = {INPUT: images.permute(0, 3, 1, 2).to(precision) * self.scale + self.offset}
        for identifier, name, inputs in self.plan:
            tensors[name] = self.layers[identifier](*(tensors[item] for item in inputs))
        return tuple(to_channels_last(tensors[name]) for name in self.output_tensors)

    def half(self) -> Graph:
        """Turn into half precision, except for the layers that make the results.

        Landmarks reach 256 px, where half precision only resolves 0.125 px.
        """
        super().half()
        for node in self._last_layers():
            self.layers[_identifier(node)].float()
        return self

    def _last_layers(self) -> set[str]:
        """Return the names of the last layers with parameters on the way to each output."""
        inputs = {name: inputs for _, name, inputs in self.plan}
        found, open_names = set(), list(self.output_tensors)
        while open_names:
            name = open_names.pop()
            if name in inputs and next(self.layers[_identifier(name)].parameters(), None) is not None:
                found.add(name)
            elif name in inputs:
                open_names.extend(inputs[name])
        return found


class GraphBuilder:
    """Collects layers and knows the shape of every tensor, for the operators that depend on it.

    Args:
        input_name: Name of the input in the file.
        input_size: (height, width) of the input, px.
    """

    def __init__(self, input_name: str, input_size: tuple[int, int]) -> None:
        self.nodes: list[Node] = []
        self.shapes: dict[str, tuple[int, ...]] = {INPUT: (1, 3, *input_size)}
        self._input_name = input_name

    def add(self, name: str, layer: nn.Module, inputs: Sequence[str]) -> None:
        """Append a layer that makes the tensor `name` of the tensors `inputs`."""
        sources = tuple(self.resolve(item) for item in inputs)
        with torch.device("meta"), torch.no_grad():
            values = [torch.empty(self.shapes[source]) for source in sources]
            self.shapes[name] = tuple(_on_meta(layer)(*values).shape)
        self.nodes.append(Node(name, layer, sources))

    def resolve(self, name: str) -> str:
        """Return the name under which a tensor is known here."""
        return INPUT if name == self._input_name else name

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor for one image, channels first."""
        return self.shapes[self.resolve(name)]

    def knows(self, name: str) -> bool:
        """Return whether a tensor of that name was made."""
        return self.resolve(name) in self.shapes

    def build(self, outputs: Mapping[str, str], scale: float, offset: float) -> Graph:
        """Return the module; arguments as in `Graph`.

        Raises:
            UnsupportedNetworkError: an output was never made.
        """
        missing = sorted(name for name in outputs.values() if not self.knows(name))
        if missing:
            raise UnsupportedNetworkError(f"the network has no tensor {', '.join(missing)}")
        resolved = {key: self.resolve(name) for key, name in outputs.items()}
        return Graph(self.nodes, resolved, scale, offset).eval()


def _on_meta(layer: nn.Module) -> Callable[..., Tensor]:
    """Return a layer as a function that computes shapes only."""
    state = {key: torch.empty(value.shape) for key, value in layer.state_dict().items()}
    return lambda *values: torch.func.functional_call(layer, state, values)


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _reachable(nodes: Sequence[Node], outputs: Iterable[str]) -> set[str]:
    used = set(outputs)
    for node in reversed(nodes):
        if node.name in used:
            used.update(node.inputs)
    return used

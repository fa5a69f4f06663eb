"""OpenPose's own networks, for checkpoints that users bring: COCO with 18 parts, and BODY_25.

Layers, their names and order from OpenPose's models/pose/{coco,body_25}/pose_deploy*.prototxt. The checkpoints of the
PyTorch ports keep these names behind the names of their own modules (`model0.conv1_1.weight`,
`models.Mconv1_stage0_L2.0.Mconv1_stage0_L2_0.weight`), or alone; what counts is the layer and the parameter.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pose_perception.errors import WeightsError

_FEATURES = 128
# VGG-19 up to its tenth convolution, then two to reduce it: name and width; None for a pool of 2x2.
_TRUNK = (
    *(("conv1_1", 64), ("conv1_2", 64), None, ("conv2_1", 128), ("conv2_2", 128), None),
    *(("conv3_1", 256), ("conv3_2", 256), ("conv3_3", 256), ("conv3_4", 256), None),
    *(("conv4_1", 512), ("conv4_2", 512), ("conv4_3_CPM", 256), ("conv4_4_CPM", _FEATURES)),
)
_PRELU_TRUNK = ("conv4_2", "conv4_3_CPM", "conv4_4_CPM")
# Channels of the results of each branch.
_COCO_OUTPUTS = {"L1": 38, "L2": 19}
_BODY_25_OUTPUTS = {"L2": 52, "L1": 26}
_BODY_25_STAGES = (("L2", 0), ("L2", 1), ("L2", 2), ("L2", 3), ("L1", 0), ("L1", 1))
# As many wrong tensors as an error message names.
_NAMED = 3


class OpenPoseNetwork(nn.Module):
    """What both networks share.

    Args:
        prelu_trunk: Layers of the trunk with a learned slope.
    """

    def __init__(self, prelu_trunk: Sequence[str] = ()) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._prelu_trunk = prelu_trunk
        width = 3
        for layer in _TRUNK:
            if layer is not None:
                self._add(layer[0], width, layer[1], 3, layer[0] in prelu_trunk)
                width = layer[1]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            images: RGB 0 to 255 with shape (N, H, W, 3), any type; H and W multiples of 8.

        Returns:
            Maps of the parts and of the background (N, H / 8, W / 8, K + 1), and fields (N, H / 8, W / 8, 2 L).
        """
        x = images.permute(0, 3, 1, 2).flip(1).to(next(self.parameters()).dtype)  # blue first
        x = x / 256 - 0.5
        for layer in _TRUNK:
            x = nn.functional.max_pool2d(x, 2) if layer is None else self._active(layer[0], x)
        parts, fields = self._stages(x)
        return parts.permute(0, 2, 3, 1), fields.permute(0, 2, 3, 1)

    @abstractmethod
    def _stages(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps and fields, channels first."""

    def _add(self, name: str, width: int, out: int, kernel: int, has_slope: bool = False) -> None:
        self.layers[name] = nn.Conv2d(width, out, kernel, padding=kernel // 2)
        if has_slope:
            self.layers[_slope(name)] = nn.PReLU(out)

    def _active(self, name: str, x: Tensor) -> Tensor:
        x = self.layers[name](x)
        slope = _slope(name)
        return self.layers[slope](x) if slope in self.layers else nn.functional.relu(x)


class Coco18(OpenPoseNetwork):
    """Six stages of two branches, L1 for the fields and L2 for the parts."""

    def __init__(self) -> None:
        super().__init__()
        for branch, out in _COCO_OUTPUTS.items():
            self._add_stage(_first_stage(branch), [_FEATURES] * 4 + [512, out], (3, 3, 3, 1, 1))
            for stage in range(2, 7):
                widths = [_FEATURES + sum(_COCO_OUTPUTS.values()), *[128] * 6, out]
                self._add_stage(_later_stage(stage, branch), widths, (7, 7, 7, 7, 7, 1, 1))

    def _add_stage(self, names: Sequence[str], widths: Sequence[int], kernels: Sequence[int]) -> None:
        for name, (width, out), kernel in zip(names, pairwise(widths), kernels, strict=True):
            self._add(name, width, out, kernel)

    def _stages(self, features: Tensor) -> tuple[Tensor, Tensor]:
        fields, parts = (self._run(_first_stage(branch), features) for branch in _COCO_OUTPUTS)
        for stage in range(2, 7):
            x = torch.cat([fields, parts, features], 1)
            fields, parts = (self._run(_later_stage(stage, branch), x) for branch in _COCO_OUTPUTS)
        return parts, fields

    def _run(self, names: Sequence[str], x: Tensor) -> Tensor:
        for name in names[:-1]:
            x = self._active(name, x)
        return self.layers[names[-1]](x)


class Body25(OpenPoseNetwork):
    """Four stages for the fields (L2), then two for the parts (L1), of blocks that join the results of three layers."""

    def __init__(self) -> None:
        super().__init__(_PRELU_TRUNK)
        for branch, stage in _BODY_25_STAGES:
            width = _FEATURES + (_BODY_25_OUTPUTS["L2"] if (branch, stage) != ("L2", 0) else 0)
            width += _BODY_25_OUTPUTS["L1"] if (branch, stage) == ("L1", 1) else 0
            inner, last = (96, 256) if stage == 0 else (128, 512)
            for block in range(1, 6):
                for i in range(3):
                    self._add(_block(block, branch, stage)[i], width if i == 0 else inner, inner, 3, True)
                width = 3 * inner
            self._add(f"Mconv6_stage{stage}_{branch}", width, last, 1, True)
            self._add(f"Mconv7_stage{stage}_{branch}", last, _BODY_25_OUTPUTS[branch], 1)

    def _stages(self, features: Tensor) -> tuple[Tensor, Tensor]:
        fields = self._run("L2", 0, features)
        for stage in range(1, 4):
            fields = self._run("L2", stage, torch.cat([features, fields], 1))
        parts = self._run("L1", 0, torch.cat([features, fields], 1))
        return self._run("L1", 1, torch.cat([features, parts, fields], 1)), fields

    def _run(self, branch: str, stage: int, x: Tensor) -> Tensor:
        for block in range(1, 6):
            joined = []
            for name in _block(block, branch, stage):
                x = self._active(name, x)
                joined.append(x)
            x = torch.cat(joined, 1)
        x = self._active(f"Mconv6_stage{stage}_{branch}", x)
        return self.layers[f"Mconv7_stage{stage}_{branch}"](x)


def build_network(content: Sequence[bytes], input_size: tuple[int, int], outputs: tuple[str, ...]) -> OpenPoseNetwork:
    """Build the network that a checkpoint is of; its results are `parts` and `fields`, in this order.

    Args:
        content: The checkpoint: tensors by name, saved by PyTorch or as safetensors. Nothing in it is executed.
        input_size: (height, width) of the images, px; of no matter here.
        outputs: Names of the results, for the caller.

    Raises:
        WeightsError: it cannot be read, or holds other tensors than one of the networks has.
    """
    state = _by_layer(_read(content[0]))
    network = Body25() if "Mconv1_stage0_L2_0.weight" in state else Coco18()
    expected = {name.removeprefix("layers."): value for name, value in network.state_dict().items()}
    shared = expected.keys() & state.keys()
    wrong = {
        "lacks": expected.keys() - shared,
        "has no place for": state.keys() - shared,
        "has other shapes for": {name for name in shared if state[name].shape != expected[name].shape},
    }
    if any(wrong.values()):
        found = "; ".join(f"{what} {_listed(names)}" for what, names in wrong.items() if names)
        raise WeightsError(f"the checkpoint is not OpenPose's {type(network).__name__} network: it {found}")
    network.load_state_dict({f"layers.{name}": value.float() for name, value in state.items()}, strict=True)
    return network.eval()


def _read(content: bytes) -> Mapping[str, Tensor]:
    try:
        if content[:2] in (b"PK", b"\x80\x02"):  # a zip archive, or a pickle of older PyTorch versions
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        else:
            from safetensors.torch import load

            state = load(content)
    except Exception as error:  # both raise errors of many kinds for files that are none of their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"cannot read the checkpoint as tensors of PyTorch or safetensors: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint must hold one tensor for each name (a state dict), nothing else")
    return state


def _by_layer(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by layer and parameter, without the modules of a port in front of them."""
    named = {".".join(str(name).split(".")[-2:]): value for name, value in state.items()}
    if len(named) < len(state):
        raise WeightsError("the checkpoint holds a layer twice: it is not of OpenPose")
    return named


def _slope(name: str) -> str:
    return name.replace("conv", "prelu", 1)


def _first_stage(branch: str) -> list[str]:
    return [f"conv5_{i}_CPM_{branch}" for i in range(1, 6)]


def _later_stage(stage: int, branch: str) -> list[str]:
    return [f"Mconv{i}_stage{stage}_{branch}" for i in range(1, 8)]


def _block(block: int, branch: str, stage: int) -> list[str]:
    return [f"Mconv{block}_stage{stage}_{branch}_{i}" for i in range(3)]


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {more} more" if more > 0 else "")

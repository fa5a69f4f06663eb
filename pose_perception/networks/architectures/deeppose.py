"""DeepPose: joints by regression, first from the person, then each from its own surroundings.

After Toshev and Szegedy, DeepPose: Human Pose Estimation via Deep Neural Networks, 2014. Differences: the convolutions
are those of MoveNet Thunder (MobileNetV2 with a feature pyramid, Apache-2.0), which see real pictures well and are not
trained further; the fully connected layers are smaller, and in the later stages weighted votes; every joint also has a
reliability. Trained by `pose_perception.training.deeppose`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from pose_perception.errors import WeightsError
from pose_perception.networks.importers.graph import Graph
from pose_perception.networks.importers.tensorflow import import_tensorflow, read_tfjs

JOINTS = 17
STAGES = ("stage_1", "stage_2", "stage_3")
INPUT_SIZES = (256, 96, 96)
"""Side of the square crops of each stage, px."""

_GRAPH = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/"
_ENTRANCE = "StatefulPartitionedCall/sub_1"
# Levels of the feature pyramid: for a person a cell per 8 px, for a joint a cell per 4 px, both with 24 channels; and
# its first sum, a cell per 16 px with 64 channels.
_PERSON_LEVEL, _JOINT_LEVEL, _FIRST_SUM = (
    f"{_GRAPH}{name}" for name in ("re_lu_1/Relu", "re_lu_2/Relu", "tf.__operators__.add/AddV2")
)
_FINE, _COARSE = 24, 64
_TRAINED_SIDE = 256
# Pixels enter as -1 to 1; the factor as the graph stores it: 2/255 in float16.
_SCALE, _OFFSET = 0.007843017578125, -1.0
_WIDTH, _NARROW, _HIDDEN = 128, 64, 512


def build_trunk(topology: bytes, weights: bytes, side: int) -> Graph:
    """Return Thunder's convolutions up to the features `fine` and `coarse`, channels last.

    Args:
        topology: Its `.json` file.
        weights: Its `.bin` file.
        side: Of the square input, px; a multiple of 32.
    """
    graph = read_tfjs(topology, weights)
    # The pyramid enlarges its levels to sizes that are written into the graph, for the input that it was trained with.
    sizes = [node.inputs[1] for node in graph.nodes.values() if node.kind == "ResizeBilinear"]
    fitting = {name: graph.constants[name] * side // _TRAINED_SIDE for name in sizes}
    graph = replace(graph, constants={**graph.constants, **fitting})
    features = {"fine": _PERSON_LEVEL if side == INPUT_SIZES[0] else _JOINT_LEVEL, "coarse": _FIRST_SUM}
    return import_tensorflow(graph, _ENTRANCE, (side, side), features, _SCALE, _OFFSET)


class Regressor(nn.Module):
    """Regresses all joints from the features of a person.

    Args:
        side: Of the crop, px.
        dropout: Share of the hidden units left out while training.
    """

    def __init__(self, side: int, dropout: float = 0.0) -> None:
        super().__init__()
        cells = (side // 32) ** 2
        self.reduce = _convolution(_FINE, _NARROW, 2, 2, 0)
        self.mix = nn.Sequential(
            _convolution(_NARROW + _COARSE, _WIDTH, 3, 2, 1), _convolution(_WIDTH, _NARROW, 1, 1, 0)
        )
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(_NARROW * cells, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.joints = nn.Linear(_HIDDEN, JOINTS * 3)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return (x, y, reliability logit) of each joint, shape (N, 17, 3).

        Positions are relative to the middle of the crop, in sides of the crop.

        Args:
            fine: Features with shape (N, side / 8, side / 8, 24).
            coarse: Features with shape (N, side / 16, side / 16, 64).
        """
        fine, coarse = (x.permute(0, 3, 1, 2).float() for x in (fine, coarse))
        mixed = self.mix(torch.cat([self.reduce(fine), coarse], dim=1))
        return self.joints(self.hidden(mixed)).unflatten(1, (JOINTS, 3))


class Refiner(nn.Module):
    """Regresses a joint from the features of the crop around where the stage before saw it.

    Each cell votes for where the joint is, and the votes are averaged by learnt weights: a regression whose error
    reaches every weight (Sun et al., Integral Human Pose Regression, 2018). It places joints far more precisely than
    fully connected layers; these, in the first stage, confuse people and limbs less.

    Args:
        side: Of the crop, px.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.reduce = _convolution(_FINE, _NARROW, 2, 2, 0)
        self.mix = nn.Sequential(
            _convolution(_NARROW + _COARSE + 3, _NARROW, 1, 1, 0),
            _convolution(_NARROW, _NARROW, 3, 1, 1),
            _convolution(_NARROW, _NARROW, 3, 1, 1),
        )
        self.joints = nn.Conv2d(_NARROW, JOINTS * 4, 1)  # weight, reliability, and x and y from the cell
        self.cells = side // 8
        middles = (torch.arange(self.cells) + 0.5) / self.cells - 0.5
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        # Convolutions do not know where they are, but a joint probably is near the middle.
        self.register_buffer("where", 4 * torch.stack([columns, rows, torch.hypot(columns, rows)])[None], False)
        self.register_buffer("places", torch.stack([columns, rows])[:, None], False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return (x, y, reliability logit) of each joint, shape (N, 17, 3), as `Regressor.forward`.

        Args:
            fine: Features with shape (N, side / 4, side / 4, 24).
            coarse: Features with shape (N, side / 16, side / 16, 64).
        """
        fine, coarse = (x.permute(0, 3, 1, 2).float() for x in (fine, coarse))
        coarse = functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        where = self.where + 0 * coarse[:, :1]  # one for each crop; a number of crops would be traced as a constant
        maps = self.joints(self.mix(torch.cat([self.reduce(fine), coarse, where], dim=1)))
        maps = maps.unflatten(1, (4, JOINTS))  # (N, 4, 17, rows, columns)
        weights = maps[:, 0].flatten(2).softmax(dim=2)
        places = self.places + maps[:, 2:] / self.cells
        votes = torch.cat([places, maps[:, 1:2]], dim=1).flatten(3)  # (N, 3, 17, cells)
        return (weights[:, None] * votes).sum(dim=3).transpose(1, 2)


def make_stage(stage: str, dropout: float = 0.0) -> Regressor | Refiner:
    """Return the untrained network of a stage.

    Args:
        stage: One of `STAGES`.
        dropout: See `Regressor`.
    """
    side = INPUT_SIZES[STAGES.index(stage)]
    return Regressor(side, dropout) if stage == STAGES[0] else Refiner(side)


class DeepPose(nn.Module):
    """Trunk and regressors of stages that look at crops of one size.

    Args:
        trunk: See `build_trunk`.
        regressors: One a result.
    """

    def __init__(self, trunk: Graph, regressors: Sequence[Regressor | Refiner]) -> None:
        super().__init__()
        self.trunk = trunk
        self.regressors = nn.ModuleList(regressors)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one tensor (N, 17, 3) a stage: x and y from the middle in sides of the crop, and the reliability.

        Args:
            images: RGB 0 to 255 with shape (N, side, side, 3), any type.
        """
        features = self.trunk(images)
        results = [regressor(*features) for regressor in self.regressors]
        return tuple(torch.cat([r[..., :2], r[..., 2:].sigmoid()], dim=2) for r in results)

    def half(self) -> DeepPose:
        """Turn the trunk into half precision: the regressors are small, and make coordinates."""
        self.trunk.half()
        return self


def build_network(content: Sequence[bytes], input_size: tuple[int, int], outputs: tuple[str, ...]) -> DeepPose:
    """Build the network that gives the results of some stages.

    Args:
        content: Thunder's two files and the trained regressors (safetensors).
        input_size: (height, width) of the crops, px.
        outputs: Names among `STAGES`.

    Raises:
        WeightsError: the trained file does not fit.
    """
    topology, weights, trained = content
    try:
        state = {name: value.float() for name, value in load(trained).items()}
        regressors = [_load_stage(state, stage) for stage in outputs]
    except Exception as error:  # safetensors' own errors share no base class with torch's
        raise WeightsError(f"these are no weights of DeepPose: {error}") from error
    return DeepPose(build_trunk(topology, weights, input_size[0]), regressors).eval()


def _load_stage(state: dict[str, Tensor], stage: str) -> Regressor | Refiner:
    network = make_stage(stage)
    own = {name.removeprefix(f"{stage}."): value for name, value in state.items() if name.startswith(f"{stage}.")}
    # PyTorch's own message has a line for each name that is wrong.
    expected, found = ({k: tuple(v.shape) for k, v in tensors.items()} for tensors in (network.state_dict(), own))
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise ValueError(
            f"{stage} misses tensors, or has some too many or of another shape: {wrong[0]}, {len(wrong)} in all"
        )
    network.load_state_dict(own, strict=True)
    return network


def _convolution(channels: int, width: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, padding, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )

"""The network that compares a rendered hypothesis with what the camera saw: how to move it, and whether it is right.

After the refiner and the scorer of FoundationPose (Wen et al., CVPR 2024): two streams with shared weights see colour
and positions relative to the hypothesis, and are joined. It is much smaller (2.5 instead of 33 million parameters, one
trunk for both questions, convolutions instead of transformers), and it moves the hypothesis as DeepIM does (Li et al.,
ECCV 2018): along the image, in depth, and about the line of sight's own axes, so that the answer does not depend on
where in the image the object is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from pose_perception.errors import WeightsError

CROP_PX = 64
# Half an edge of the crop at the distance of the object, in radii of the object.
CROP_RADII = 1.2
# Beyond so many radii in front of or behind its middle nothing belongs to the object.
FARTHEST_RADII = 2.0
OUTPUTS = ("shift", "turn", "rank", "accept")
_WIDTHS = (24, 48, 96, 128, 256)
_HIDDEN = 256


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class PoseMatcher(nn.Module):
    """Compares N hypotheses with their observations.

    Input `colors`: (N, 64, 64, 6) uint8, RGB of the rendering, then of the camera. `depths`: (N, 64, 64, 2) float32,
    depth of both minus that of the object's middle, in radii of the object; NaN or beyond 2 where there is none.
    `nearness`: (N,) float32, radius of the object over the depth of its middle.

    Output `shift`: (N, 3), how far the middle moves to the right and down in half crops, and away in radii. `turn`:
    (N, 3), rotation vector about its middle in the axes of the line of sight, radians. `rank`: (N,), larger for the
    better of hypotheses of one observation. `accept`: (N,), logit of being right within a tenth of the diameter.
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d, e = _WIDTHS
        self.stream = nn.Sequential(_convolution(7, a, 2), _convolution(a, b, 2), _Residual(b))
        self.trunk = nn.Sequential(
            _convolution(2 * b, c),
            _convolution(c, d, 2),
            _Residual(d),
            _convolution(d, e, 2),
            _Residual(e),
        )
        self.narrow = nn.Conv2d(e, 64, 1)
        side = CROP_PX // 16
        self.move = nn.Sequential(nn.Linear(64 * side * side, _HIDDEN), nn.ReLU(inplace=True), nn.Linear(_HIDDEN, 6))
        self.judge = nn.Sequential(nn.Linear(64 * side * side, _HIDDEN), nn.ReLU(inplace=True), nn.Linear(_HIDDEN, 2))

    def forward(self, colors: Tensor, depths: Tensor, nearness: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compare; see the class for shapes."""
        both = torch.cat([self._see(colors[..., 3 * i : 3 * i + 3], depths[..., i], nearness) for i in (0, 1)])
        seen = self.stream(both)
        joined = self.trunk(torch.cat(torch.chunk(seen, 2), dim=1))
        features = self.narrow(joined).flatten(1)
        motion, verdict = self.move(features).float(), self.judge(features).float()
        return motion[:, :3], motion[:, 3:], verdict[:, 0], verdict[:, 1]

    @staticmethod
    def _see(colors: Tensor, depths: Tensor, nearness: Tensor) -> Tensor:
        """Return colour, position in radii relative to the object's middle, and where there is one: (N, 7, 64, 64)."""
        valid = (depths.abs() < FARTHEST_RADII).float()
        z = torch.where(valid > 0, depths, torch.zeros_like(depths))
        scale = CROP_RADII * (1 + z * nearness[:, None, None]) * valid
        place = (torch.arange(CROP_PX, device=depths.device, dtype=torch.float32) + 0.5) * (2 / CROP_PX) - 1
        positions = torch.stack([place[None, None, :] * scale, place[None, :, None] * scale, z, valid], dim=1)
        return torch.cat([colors.permute(0, 3, 1, 2).float() / 127.5 - 1, positions], dim=1)


class PackedMatcher(nn.Module):
    """The matcher for the runtime, which knows bytes only.

    Input (N, 64, 64, 12) uint8: both colours (6), then both depths and the nearness in two bytes each, the higher one
    first. A depth of d radii is stored as round((d + 2) / 4 * 65534) + 1, none as 0; a nearness of n as
    round(n * 16384), in every pixel.

    Args:
        matcher: The network.
        outputs: Results wanted, of `OUTPUTS`.
    """

    def __init__(self, matcher: PoseMatcher, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self._matcher = matcher
        self._wanted = [OUTPUTS.index(name) for name in outputs]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compare; every result has shape (N, C)."""
        values = images[..., 6:].float()
        words = values[..., 0::2] * 256 + values[..., 1::2]
        depths = (words[..., :2] - 1) * (2 * FARTHEST_RADII / 65534) - FARTHEST_RADII
        depths = torch.where(words[..., :2] > 0, depths, torch.full_like(depths, 2 * FARTHEST_RADII))
        results = self._matcher(images[..., :6], depths, words[:, 0, 0, 2] / 16384)
        return [results[i] if results[i].dim() == 2 else results[i][:, None] for i in self._wanted]


def build_network(content: Sequence[bytes], input_size: tuple[int, int], outputs: tuple[str, ...]) -> PackedMatcher:
    """Build the network from its trained weights.

    Args:
        content: One file (safetensors).
        input_size: (64, 64).
        outputs: Names among `OUTPUTS`.

    Raises:
        WeightsError: the file does not fit.
    """
    matcher = PoseMatcher()
    try:
        state = {
            name: value.float() if value.is_floating_point() else value for name, value in load(content[0]).items()
        }
        matcher.load_state_dict(state, strict=True)
    except Exception as error:  # safetensors' own errors share no base class with torch's
        raise WeightsError(f"these are no weights of the pose matcher: {error}") from error
    return PackedMatcher(matcher, outputs).eval()

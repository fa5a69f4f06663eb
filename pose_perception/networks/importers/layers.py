"""The few operators of the imported networks as PyTorch layers; tensors of rank 4 are (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pose_perception.errors import UnsupportedNetworkError

Padding = tuple[int, int, int, int]


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Padding:
    """Return (left, right, top, bottom) of TensorFlow's SAME padding; the odd pixel goes to the right and bottom.

    Args:
        size: Input (height, width) in pixels.
        kernel: Kernel (height, width).
        stride: Step (vertical, horizontal).
        dilation: Kernel dilation (vertical, horizontal).
    """
    before_after = []
    for length, taps, step, spread in zip(size, kernel, stride, dilation, strict=True):
        total = max((-(-length // step) - 1) * step + (taps - 1) * spread + 1 - length, 0)
        before_after.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = before_after
    return left, right, top, bottom


def activation(name: str | None) -> nn.Module | None:
    """Return the layer of a fused activation: None, `relu`, `relu6` or `sigmoid`."""
    if name is None:
        return None
    layers = {"relu": nn.ReLU, "relu6": nn.ReLU6, "sigmoid": nn.Sigmoid}
    if name not in layers:
        raise UnsupportedNetworkError(f"activation {name!r} is not supported; known: {', '.join(layers)}")
    return layers[name]()


class Convolution(nn.Module):
    """2D convolution with any padding and a fused activation.

    Args:
        weight: Kernel with shape (out, in / groups, height, width).
        bias: Shape (out,) or None.
        stride: Step (vertical, horizontal).
        dilation: Kernel dilation (vertical, horizontal).
        padding: Zeros at (left, right, top, bottom), px.
        groups: Number of channel groups; the number of input channels for a depthwise convolution.
        fused: Name of the activation, see `activation`.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        dilation: tuple[int, int],
        padding: Padding,
        groups: int = 1,
        fused: str | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)
        self.stride, self.dilation, self.groups = stride, dilation, groups
        left, right, top, bottom = padding
        self.is_symmetric = left == right and top == bottom
        self.padding = padding
        self.activation = activation(fused)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) in the precision of the weights, which may differ from layer to layer."""
        x = x.to(self.weight.dtype)
        if not self.is_symmetric:
            x = functional.pad(x, self.padding)
        inner = (self.padding[2], self.padding[0]) if self.is_symmetric else (0, 0)
        x = functional.conv2d(x, self.weight, self.bias, self.stride, inner, self.dilation, self.groups)
        return x if self.activation is None else self.activation(x)


class Linear(nn.Module):
    """Fully connected layer on (N, features), or on (N, C, H, W) flattened in the order (H, W, C)."""

    def __init__(self, weight: Tensor, bias: Tensor | None, fused: str | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)
        self.activation = activation(fused)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out)."""
        x = to_channels_last(x).flatten(1).to(self.weight.dtype)
        x = functional.linear(x, self.weight, self.bias)
        return x if self.activation is None else self.activation(x)


class PRelu(nn.Module):
    """Leaky rectifier with one learned slope per channel."""

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(slope)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (N, C, ...)."""
        return functional.prelu(x, self.weight.to(x.dtype))


class Elementwise(nn.Module):
    """Sum or product of two tensors, or of one tensor and a constant."""

    def __init__(self, operator: str, constant: Tensor | None = None, fused: str | None = None) -> None:
        super().__init__()
        self.function = {"add": torch.add, "sub": torch.sub, "mul": torch.mul}[operator]
        self.register_buffer("constant", constant)
        self.activation = activation(fused)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Combine x with y, or with the constant when there is no y."""
        x = self.function(x, self.constant if y is None else y)
        return x if self.activation is None else self.activation(x)


class Pad(nn.Module):
    """Zeros around the image and extra zero channels, amounts in the order of `torch.nn.functional.pad`."""

    def __init__(self, amounts: Sequence[int]) -> None:
        super().__init__()
        self.amounts = list(amounts)

    def forward(self, x: Tensor) -> Tensor:
        """Pad (N, C, H, W)."""
        return functional.pad(x, self.amounts)


class MaxPool(nn.Module):
    """Maximum over windows; padding never wins."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        if any(self.padding):
            x = functional.pad(x, self.padding, value=float("-inf"))
        return functional.max_pool2d(x, self.kernel, self.stride)


class Resize(nn.Module):
    """Bilinear resampling to (height, width) with half-pixel centres."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Resample (N, C, H, W)."""
        return functional.interpolate(x, self.size, mode="bilinear", align_corners=False)


class Doubling(nn.Module):
    """Bilinear resampling to twice the size as TensorFlow 1 did it: cell i of the result lies at i / 2."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C, H, W) into (N, C, 2 H, 2 W)."""
        height, width = x.shape[2:]
        x = functional.pad(x, (0, 1, 0, 1), mode="replicate")
        x = functional.interpolate(x, (2 * height + 1, 2 * width + 1), mode="bilinear", align_corners=True)
        return x[..., : 2 * height, : 2 * width]


class DepthToSpace(nn.Module):
    """Move blocks of channels into space; TensorFlow counts the block outside of the channel."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C b b, H, W) into (N, C, H b, W b)."""
        _, channels, height, width = x.shape
        b = self.block
        x = x.reshape(-1, b, b, channels // (b * b), height, width).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(-1, channels // (b * b), height * b, width * b)


class Reshape(nn.Module):
    """Regroup the elements behind the batch axis; the batch stays as it is."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = list(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, *shape) with the elements in channels-last order."""
        return to_channels_first(to_channels_last(x).reshape(-1, *self.shape))


class Slice(nn.Module):
    """Part of a tensor without its batch axis: one (start, stop, step) per remaining axis, channels first."""

    def __init__(self, ranges: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        self.ranges = tuple(slice(*item) for item in ranges)

    def forward(self, x: Tensor) -> Tensor:
        """Cut (N, ...)."""
        return x[(slice(None), *self.ranges)]


class Mean(nn.Module):
    """Average over axes counted channels first."""

    def __init__(self, axes: Sequence[int], keep: bool) -> None:
        super().__init__()
        self.axes, self.keep = list(axes), keep

    def forward(self, x: Tensor) -> Tensor:
        """Average (N, C, H, W)."""
        return x.mean(self.axes, keepdim=self.keep)


class Concatenate(nn.Module):
    """Join tensors along an axis counted channels first."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *tensors: Tensor) -> Tensor:
        """Join tensors of equal rank."""
        return torch.cat(tensors, self.axis)


def to_channels_last(x: Tensor) -> Tensor:
    """Turn (N, C, H, W) into (N, H, W, C); other ranks stay as they are."""
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def to_channels_first(x: Tensor) -> Tensor:
    """Turn (N, H, W, C) into (N, C, H, W); other ranks stay as they are."""
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x

"""From the keypoint head of an R-CNN to pixels: all people and keypoints at once, on the device of the maps."""

from __future__ import annotations

import torch
from torch import Tensor

# Cells around the best one that are searched more finely, and steps a cell: a person 448 px high has 8 px a cell.
_REACH = 2
_STEPS = 8
# Half the side of the window whose probability is the score, cells: about 7 % of the person's box.
_NEAR = 4
# Coefficient of the bicubic kernel as PyTorch interpolates with it.
_CUBIC = -0.75


def decode_heatmaps(logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the keypoints are and how sure the network is.

    The maximum of the bicubic interpolation is taken, as He et al. and torchvision do, but it is only searched around
    the best cell and on a grid as fine for small as for large people, so that everything is one batch.

    Args:
        logits: Maps with shape (P, K, S, S); a softmax over a map is the probability of its keypoint in each cell.
        boxes: Regions that the maps cover, (x0, y0, x1, y1) with shape (P, 4), px.

    Returns:
        Pixels with shape (P, K, 2), and scores with shape (P, K): the probability, by the softmax that the network was
        trained with, that the keypoint lies within `_NEAR` cells of the best one. 0 to 1.
    """
    people, keypoints, side, _ = logits.shape
    flat = logits.float().reshape(people * keypoints, side * side)
    best = flat.argmax(dim=1)
    cell = torch.stack([best % side, torch.div(best, side, rounding_mode="floor")], dim=1)  # x, y
    found = _refine(flat.reshape(-1, side, side), cell)
    scores = _probability_near(flat.softmax(dim=1).reshape(-1, side, side), cell)
    size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).float()
    pixels = boxes[:, None, :2].float() + found.reshape(people, keypoints, 2) * (size[:, None] / side)
    return pixels, scores.reshape(people, keypoints)


def _refine(maps: Tensor, cell: Tensor) -> Tensor:
    """Return the place (x, y) with shape (M, 2) of the interpolated maximum, in cells from the border of the map."""
    side = maps.shape[-1]
    reach = _REACH + 2  # the kernel takes two cells more on each side
    around = torch.arange(-reach, reach + 1, device=maps.device)
    x = (cell[:, :1] + around).clamp(0, side - 1)
    y = (cell[:, 1:] + around).clamp(0, side - 1)
    window = maps[torch.arange(len(maps), device=maps.device)[:, None, None], y[:, :, None], x[:, None, :]]
    steps = torch.arange(-_REACH * _STEPS, _REACH * _STEPS + 1, device=maps.device) / _STEPS
    weights = _cubic(steps[:, None] - around)  # (steps, cells)
    fine = weights @ window @ weights.T
    best = fine.flatten(1).argmax(dim=1)
    row = torch.div(best, len(steps), rounding_mode="floor")
    place = cell + torch.stack([steps[best % len(steps)], steps[row]], dim=1)
    return (place + 0.5).clamp(0, side)


def _cubic(distance: Tensor) -> Tensor:
    """Return the weights of bicubic interpolation at distances in cells."""
    d = distance.abs()
    near = ((_CUBIC + 2) * d - (_CUBIC + 3)) * d * d + 1
    far = ((_CUBIC * d - 5 * _CUBIC) * d + 8 * _CUBIC) * d - 4 * _CUBIC
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def _probability_near(probability: Tensor, cell: Tensor) -> Tensor:
    """Return the sum of each map (M, S, S) in the window around its cell (M, 2), shape (M,)."""
    around = torch.arange(probability.shape[-1], device=cell.device)
    columns = ((around - cell[:, :1]).abs() <= _NEAR).to(probability)
    rows = ((around - cell[:, 1:]).abs() <= _NEAR).to(probability)
    return torch.einsum("mr,mrc,mc->m", rows, probability, columns)

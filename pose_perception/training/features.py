"""Features of DeepPose's frozen trunk for many crops."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pose_perception.networks.architectures.deeppose import build_trunk
from pose_perception.networks.openvino_backend import import_openvino
from pose_perception.networks.weights import find_weights

_BATCH = 16


class Features(NamedTuple):
    """Channels last, float16: `fine` (N, S / 8, S / 8, 24), or S / 4 for joints; `coarse` (N, S / 16, S / 16, 64)."""

    fine: npt.NDArray[np.float16]
    coarse: npt.NDArray[np.float16]


def compute_features(crops: npt.NDArray[np.uint8], side: int) -> Features:
    """Run the trunk on crops with shape (N, side, side, 3)."""
    request = _trunk(side)
    parts: list[list[npt.NDArray[np.float16]]] = [[], []]
    for start in range(0, len(crops), _BATCH):
        batch = crops[start : start + _BATCH]
        full = np.zeros((_BATCH, side, side, 3), np.uint8)
        full[: len(batch)] = batch
        request.infer([full], share_inputs=True)
        for part, tensor in zip(parts, request.output_tensors, strict=True):
            part.append(tensor.data[: len(batch)].astype(np.float16))
    return Features(*(np.concatenate(part) for part in parts))


@lru_cache(maxsize=2)
def _trunk(side: int) -> Any:
    openvino = import_openvino()
    module = build_trunk(*find_weights("movenet_thunder").read(), side).requires_grad_(False)
    example = torch.zeros((_BATCH, side, side, 3), dtype=torch.uint8)
    model = openvino.convert_model(module, example_input=example, input=openvino.PartialShape(list(example.shape)))
    return openvino.Core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"}).create_infer_request()

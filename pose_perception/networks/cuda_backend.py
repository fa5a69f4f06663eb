"""Networks on an NVIDIA GPU: PyTorch in half precision, channels last, one CUDA graph per batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from pose_perception.networks.importers.graph import Graph

_WARM_UP_RUNS = 3  # before a capture, as PyTorch's documentation of CUDA graphs asks for


class CudaBackend:
    """Runs a module; captures a CUDA graph for each batch size when first needed.

    Args:
        module: The network.
        input_size: (height, width, channels).
        precision: `fast` for half precision, `exact` for float32 without TF32.
        batch_sizes: Those to capture; None for those that suit most networks.
    """

    batch_sizes = (1, 2, 4, 8, 16)
    pads = True

    def __init__(
        self,
        module: Graph,
        input_size: tuple[int, int, int],
        precision: str,
        batch_sizes: tuple[int, ...] | None = None,
    ) -> None:
        self.batch_sizes = batch_sizes or self.batch_sizes
        module = module.eval().requires_grad_(False)
        if precision == "fast":
            module = module.half()
        self._module = module.to("cuda", memory_format=torch.channels_last)
        self._input_size = input_size
        self._tf32 = precision == "fast"
        self._captured: dict[int, tuple[Any, torch.Tensor, torch.Tensor, list[torch.Tensor], list[torch.Tensor]]] = {}

    @torch.inference_mode()
    def run(self, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run one batch with shape (N, H, W, C); the results are overwritten by the next run."""
        size = len(images)
        if size not in self._captured:
            self._captured[size] = self._capture(size)
        graph, staging, device_images, device_results, results = self._captured[size]
        staging.numpy()[:] = images
        device_images.copy_(staging, non_blocking=True)
        graph.replay()
        for target, source in zip(results, device_results, strict=True):
            target.copy_(source, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return [result.numpy() for result in results]

    @torch.inference_mode()
    def _capture(self, size: int) -> tuple[Any, torch.Tensor, torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        staging = torch.zeros((size, *self._input_size), dtype=torch.uint8, pin_memory=True)
        device_images = staging.cuda()
        graph = torch.cuda.CUDAGraph()
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=self._tf32):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP_RUNS):
                    self._forward(device_images)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                device_results = self._forward(device_images)
        results = [torch.empty(result.shape, dtype=torch.float32, pin_memory=True) for result in device_results]
        return graph, staging, device_images, device_results, results

    def _forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [result.float().contiguous() for result in self._module(images)]

"""Execution of the networks on the best device there is, with one call for any number of images.

The CPU runs OpenVINO models that were converted from the PyTorch modules once; CUDA runs the PyTorch modules.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pose_perception.errors import ConfigurationError, DeviceError, InvalidInputError
from pose_perception.networks.catalogue import NetworkSpec, find_spec
from pose_perception.networks.weights import find_weights

DEVICES = ("auto", "cuda", "cpu")
PRECISIONS = ("fast", "exact")
# Device files of the NVIDIA driver: desktop and server, Jetson, WSL.
_DRIVER_FILES = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvmap", "/dev/dxg")


class Backend(Protocol):
    """What executes a network on one device.

    Attributes:
        batch_sizes: The batch sizes that it is made for, ascending, beginning with 1.
        pads: Whether a larger batch with unused images is faster than several exact ones.
    """

    batch_sizes: tuple[int, ...]
    pads: bool

    def run(self, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run a batch of one of `batch_sizes`; the results may be overwritten by the next run."""


class Network:
    """A trained network, ready to run. Not safe to use from several threads at once.

    Args:
        name: Name in the catalogue.
        input_size: (height, width) of the images, px.
        output_names: Names of the results in the order of the backend.
        device: `cuda` or `cpu`.
        backend: What executes it.
        channels: Bytes of a pixel.
    """

    def __init__(
        self,
        name: str,
        input_size: tuple[int, int],
        output_names: Sequence[str],
        device: str,
        backend: Backend,
        channels: int = 3,
    ) -> None:
        self.name = name
        self.input_size = input_size
        self._pixel = (*input_size, channels)
        self.output_names = tuple(output_names)
        self.device = device
        self._backend = backend
        self._shapes: list[tuple[int, ...]] | None = None

    def __call__(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """Run the network.

        Args:
            images: RGB with shape (N, height, width, 3), uint8, any N; with as many channels as the catalogue says.

        Returns:
            Results by name, float32, with shape (N, ...), channels last; see the catalogue.

        Raises:
            InvalidInputError: the images have another type or size.
        """
        expected = self._pixel
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected:
            raise InvalidInputError(
                f"{self.name} takes uint8 images with shape (N, {', '.join(map(str, expected))}), "
                f"got {images.dtype} with shape {images.shape}"
            )
        if len(images) == 0:
            return self._empty()
        parts = []
        for start, stop, size in plan_batches(len(images), self._backend.batch_sizes, self._backend.pads):
            batch = images[start:stop]
            if stop - start < size:
                batch = np.concatenate([batch, np.zeros((size - (stop - start), *expected), np.uint8)])
            results = self._backend.run(np.ascontiguousarray(batch))
            parts.append([np.array(result[: stop - start], np.float32) for result in results])
        joined = [values[0] if len(parts) == 1 else np.concatenate(values) for values in zip(*parts, strict=True)]
        return dict(zip(self.output_names, joined, strict=True))

    def warm_up(self, largest: int | None = None) -> None:
        """Prepare every batch size, so that no later call takes longer than the others.

        Args:
            largest: Leave out batch sizes above this one; None for all.
        """
        for size in self._backend.batch_sizes:
            if largest is None or size <= largest:
                self._backend.run(np.zeros((size, *self._pixel), np.uint8))

    def _empty(self) -> dict[str, npt.NDArray[np.float32]]:
        if self._shapes is None:
            results = self._backend.run(np.zeros((1, *self._pixel), np.uint8))
            self._shapes = [result.shape[1:] for result in results]
        return {
            name: np.zeros((0, *shape), np.float32) for name, shape in zip(self.output_names, self._shapes, strict=True)
        }


def load_network(
    name: str,
    device: str = "auto",
    precision: str = "fast",
    input_size: tuple[int, int] | None = None,
    outputs: Sequence[str] | None = None,
    threads: int = 0,
) -> Network:
    """Load a network of the catalogue with verified weights.

    Args:
        name: Name in the catalogue.
        device: `cuda`, `cpu`, or `auto`: CUDA where there is one, else the CPU.
        precision: `fast` lets the device compute in bfloat16 or half precision, `exact` keeps float32.
        input_size: (height, width) in pixels; None for the network's own.
        outputs: Results wanted; what only serves others is not computed. None for all.
        threads: CPU threads; 0 lets OpenVINO choose.

    Raises:
        ConfigurationError: an argument is not one of the choices.
        DeviceError: `cuda` was asked for and there is none that works, or the network does not fit on it.
        WeightsError: the weights are missing or altered.
    """
    spec = find_spec(name)
    weights = find_weights(name)
    return run_network(spec, weights.read(), device, precision, input_size, outputs, threads)


def run_network(
    spec: NetworkSpec,
    content: Sequence[bytes],
    device: str = "auto",
    precision: str = "fast",
    input_size: tuple[int, int] | None = None,
    outputs: Sequence[str] | None = None,
    threads: int = 0,
) -> Network:
    """Make a network ready that need not be in the catalogue; for arguments and errors see `load_network`.

    Args:
        spec: How to build it.
        content: The files of its weights.
        device: `cuda`, `cpu` or `auto`.
        precision: `fast` or `exact`.
        input_size: (height, width) in pixels; None for the network's own.
        outputs: Results wanted; None for all.
        threads: CPU threads; 0 lets OpenVINO choose.
    """
    for value, choices in ((device, DEVICES), (precision, PRECISIONS)):
        if value not in choices:
            raise ConfigurationError(f"{value!r} is none of {', '.join(choices)}")
    size, wanted = spec.check_size(input_size), spec.check_outputs(outputs)
    chosen = choose_device(device)
    if chosen == "cuda":
        from pose_perception.networks.cuda_backend import CudaBackend

        module = spec.build(content, size, wanted)
        try:
            backend: Backend = CudaBackend(module, (*size, spec.channels), precision, spec.batch_sizes)
        except RuntimeError as error:
            raise DeviceError(f"{spec.name} cannot be put on the CUDA device: {error}; use device 'cpu'") from error
    else:
        from pose_perception.networks.openvino_backend import OpenvinoBackend, ensure_converted

        digest = hashlib.sha256("".join(hashlib.sha256(file).hexdigest() for file in content).encode()).hexdigest()
        folder = ensure_converted(spec, digest, content, size, wanted)
        backend = OpenvinoBackend(folder, precision, threads, spec.batch_sizes)
    return Network(spec.name, size, list(wanted), chosen, backend, spec.channels)


def choose_device(device: str) -> str:
    """Return `cuda` or `cpu`; `auto` warns when there is a CUDA device that does not work.

    PyTorch is only imported where there is an NVIDIA driver to ask for: its import takes seconds.

    Args:
        device: One of `DEVICES`.

    Raises:
        DeviceError: `cuda` was asked for and there is none that works.
    """
    if device == "cpu":
        return "cpu"
    if any(Path(file).exists() for file in _DRIVER_FILES):
        import torch

        if torch.cuda.is_available():
            try:
                # A device without kernels in this PyTorch, or without free memory, fails at its first operation.
                torch.ones(1, device="cuda").sum().item()
            except RuntimeError as error:
                if device == "cuda":
                    raise DeviceError(f"the CUDA device does not work: {error}; use device 'cpu'") from error
                warnings.warn(f"the CUDA device does not work, the CPU is used: {error}", RuntimeWarning, stacklevel=2)
                return "cpu"
            return "cuda"
    if device == "cuda":
        raise DeviceError("no CUDA device was found (NVIDIA driver or GPU missing); use device 'cpu' or 'auto'")
    return "cpu"


def plan_batches(count: int, sizes: Sequence[int], pads: bool) -> Iterator[tuple[int, int, int]]:
    """Split a number of images into batches of fixed sizes.

    Args:
        count: Number of images.
        sizes: Batch sizes, ascending, beginning with 1.
        pads: Fill a last batch up rather than splitting it further.

    Yields:
        (first image, image behind the last, batch size).
    """
    start = 0
    while start < count:
        left = count - start
        fitting = [size for size in sizes if size <= left]
        enough = [size for size in sizes if size >= left]
        size = enough[0] if pads and enough else fitting[-1]
        stop = min(start + size, count)
        yield start, stop, size
        start = stop

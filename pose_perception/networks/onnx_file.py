"""ONNX files that users bring: what is in them, and how they run.

OpenVINO reads and runs them on the CPU, ONNX Runtime on a CUDA device where its GPU version is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_perception.errors import ConfigurationError, DeviceError, UnsupportedNetworkError
from pose_perception.networks.openvino_backend import import_openvino
from pose_perception.networks.runtime import Backend, Network, choose_device

# A larger input is a mistake in the file rather than a network for pictures of people.
_LARGEST_SIDE = 2048
# Batches that a file without a fixed one is compiled for, as in `openvino_backend`; every one holds a copy of the
# weights, so large networks, which gain nothing from batches on a CPU, get along with one.
_BATCH_SIZES = (1, 2, 4)
_LARGE_FILE = 200e6
_CUDA = "CUDAExecutionProvider"

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class PixelEncoding:
    """What a network wants to see of an RGB image with values from 0 to 255.

    Attributes:
        mean, std: Input is (value - mean) / std, each for red, green and blue.
        bgr: Whether blue comes first.
    """

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bgr: bool = False


class OnnxFile:
    """A network in an ONNX file with one input for images, batch first and channels before rows and columns.

    Attributes:
        name: Name of the file.
        batch: The only batch size that it takes; None for any.
        input_size: (height, width) that it takes, px; None where the file leaves either open.
    """

    def __init__(self, path: str) -> None:
        """Read a file.

        Raises:
            ConfigurationError: there is no such file.
            UnsupportedNetworkError: it is no ONNX file, or holds no network that takes one batch of images.
        """
        if not path:
            raise ConfigurationError("the estimator onnx needs a network: give an ONNX file as network_file")
        self._path = Path(path)
        self.name = self._path.name
        if not self._path.is_file():
            raise ConfigurationError(f"network_file {path} is not there or no file")
        self._model = _read(self._path)
        shape = self._input_shape()
        self.batch = shape[0]
        self.input_size = (shape[2], shape[3]) if shape[2] and shape[3] else None

    def outputs(self, size: tuple[int, int] | None = None) -> list[tuple[str, Shape]]:
        """Return names and shapes of the results; None for what depends on the images.

        Args:
            size: (height, width) of the images, px; None for what the file says by itself.

        Raises:
            UnsupportedNetworkError: the network does not work at that size.
        """
        model = self._model if size is None else self._reshaped(self.batch or 1, size)
        return [(_name(output), _shape(output)) for output in model.outputs]

    def load(self, size: tuple[int, int], encoding: PixelEncoding, device: str, precision: str) -> Network:
        """Return the network ready to run on RGB images; its results are numbered in the order of the file.

        Args:
            size: (height, width) of the images, px.
            encoding: What the network wants to see.
            device: auto, cuda or cpu.
            precision: `fast` lets the device compute in bfloat16, `exact` keeps float32.

        Raises:
            DeviceError: the device is not there.
            UnsupportedNetworkError: the network does not work at that size.
        """
        names = [str(i) for i in range(len(self.outputs(size)))]
        backend: Backend
        if _choose_runtime(device) == "cuda":
            backend = _CudaBackend(self._path, encoding, self.batch)
            return Network(self.name, size, names, "cuda", backend)
        backend = _CpuBackend(self, encoding, precision)
        return Network(self.name, size, names, "cpu", backend)

    @property
    def is_large(self) -> bool:
        """Whether copies of the weights would cost much memory."""
        return self._path.stat().st_size > _LARGE_FILE

    def with_encoding(self, shape: tuple[int, ...], encoding: PixelEncoding) -> Any:
        """Return an OpenVINO model that takes uint8 RGB images with shape (N, H, W, 3)."""
        openvino = import_openvino()
        from openvino.preprocess import PrePostProcessor

        processor = PrePostProcessor(self._reshaped(shape[0], (shape[1], shape[2])))
        image = processor.input()
        image.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
        image.model().set_layout(openvino.Layout("NCHW"))
        steps = image.preprocess().convert_element_type(openvino.Type.f32)
        steps.mean(list(encoding.mean)).scale(list(encoding.std))
        if encoding.bgr:
            steps.reverse_channels()
        return processor.build()

    def _input_shape(self) -> Shape:
        openvino = import_openvino()
        if len(self._model.inputs) != 1:
            raise UnsupportedNetworkError(f"{self.name} has {len(self._model.inputs)} inputs; it must take images only")
        image = self._model.input(0)
        shape = _shape(image)
        if len(shape) != 4 or shape[1] not in (3, None):
            raise UnsupportedNetworkError(
                f"{self.name} takes {describe(shape)}; images must be (batch, 3, height, width): export it that way"
            )
        if image.element_type not in (openvino.Type.f32, openvino.Type.f16):
            raise UnsupportedNetworkError(
                f"{self.name} takes {image.element_type.get_type_name()}; it must take normalised images as float"
            )
        if any(side is not None and not 16 <= side <= _LARGEST_SIDE for side in shape[2:]):
            raise UnsupportedNetworkError(
                f"{self.name} takes images of {shape[2]}x{shape[3]} px; sides from 16 to {_LARGEST_SIDE} px are usable"
            )
        return shape

    def _reshaped(self, batch: int, size: tuple[int, int]) -> Any:
        model = self._model.clone()
        try:
            model.reshape([batch, 3, *size])
        except Exception as error:
            raise UnsupportedNetworkError(
                f"{self.name} does not work on {batch} images of {size[0]}x{size[1]} px: {_first_line(error)}"
            ) from error
        return model


class _CpuBackend:
    """OpenVINO: compiles the network for each batch size when first needed."""

    def __init__(self, file: OnnxFile, encoding: PixelEncoding, precision: str) -> None:
        self.batch_sizes = _BATCH_SIZES if file.batch is None else (file.batch,)
        if file.batch is None and file.is_large:
            self.batch_sizes = _BATCH_SIZES[:1]
        self.pads = file.batch is not None
        self._file = file
        self._encoding = encoding
        self._core = import_openvino().Core()
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if precision == "exact":
            self._options["INFERENCE_PRECISION_HINT"] = "f32"
        self._requests: dict[int, Any] = {}

    def run(self, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run one batch with shape (N, H, W, 3); the results are overwritten by the next run."""
        request = self._requests.get(len(images)) or self._compile(images.shape)
        try:
            request.infer([images], share_inputs=True, share_outputs=True)
        except Exception as error:
            raise UnsupportedNetworkError(f"{self._file.name} fails when it runs: {_first_line(error)}") from error
        return [tensor.data for tensor in request.output_tensors]

    def _compile(self, shape: tuple[int, ...]) -> Any:
        model = self._file.with_encoding(shape, self._encoding)
        try:
            request = self._core.compile_model(model, "CPU", self._options).create_infer_request()
        except Exception as error:
            raise UnsupportedNetworkError(f"{self._file.name} cannot be compiled: {_first_line(error)}") from error
        self._requests[shape[0]] = request
        return request


class _CudaBackend:
    """ONNX Runtime on a CUDA device."""

    def __init__(self, path: Path, encoding: PixelEncoding, batch: int | None) -> None:
        import onnxruntime

        self.batch_sizes = _BATCH_SIZES if batch is None else (batch,)
        self.pads = batch is not None
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=[_CUDA, "CPUExecutionProvider"])
        except Exception as error:
            raise UnsupportedNetworkError(f"ONNX Runtime cannot load {path.name}: {_first_line(error)}") from error
        if _CUDA not in self._session.get_providers():
            raise DeviceError("ONNX Runtime does not find its CUDA libraries; use device 'cpu'")
        image = self._session.get_inputs()[0]
        self._input = image.name
        self._type = np.float16 if "float16" in image.type else np.float32
        order = slice(None, None, -1 if encoding.bgr else 1)
        self._order = order
        self._mean = np.array(encoding.mean, np.float32)[order]
        self._std = np.array(encoding.std, np.float32)[order]

    def run(self, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run one batch with shape (N, H, W, 3)."""
        normalised = (images[..., self._order] - self._mean) / self._std
        tensor = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2).astype(self._type))
        return [np.asarray(result, np.float32) for result in self._session.run(None, {self._input: tensor})]


def describe(shape: Shape) -> str:
    """Return a shape in words, with a question mark for what is open."""
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"


def _read(path: Path) -> Any:
    import_openvino()
    from openvino.frontend import FrontEndManager

    # Asked for by name: left to guess, OpenVINO would try every format that it knows on the file.
    frontend = FrontEndManager().load_by_framework("onnx")
    try:
        return frontend.convert(frontend.load(str(path)))
    except Exception as error:
        text = str(error)
        if "externally stored data" in text:
            reason = (
                "its weights are in another file, which must lie beside it under the name that it was exported with"
            )
        elif "No conversion rule" in text:
            reason = "it has operators that OpenVINO does not know: " + text.split("operations:")[-1].split()[0]
        else:
            reason = f"it is no complete ONNX file ({_first_line(error)})"
        raise UnsupportedNetworkError(f"network_file {path} cannot be used: {reason}") from error


def _choose_runtime(device: str) -> str:
    """Return `cuda` where ONNX Runtime can use one, else `cpu`.

    Raises:
        DeviceError: `cuda` was asked for and there is no device, or no ONNX Runtime for it.
    """
    if choose_device(device) == "cpu":
        return "cpu"
    try:
        import onnxruntime

        has_cuda = _CUDA in onnxruntime.get_available_providers()
    except ImportError:
        has_cuda = False
    if not has_cuda and device == "cuda":
        raise DeviceError("ONNX files need ONNX Runtime on CUDA: install onnxruntime-gpu, or use device 'cpu'")
    return "cuda" if has_cuda else "cpu"


def _name(output: Any) -> str:
    return output.any_name if output.names else "?"


def _shape(port: Any) -> Shape:
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        return ()
    return tuple(None if side.is_dynamic else side.get_length() for side in shape)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '", "FrontEnd API"))]
    return (told or lines or [type(error).__name__])[0][:200]

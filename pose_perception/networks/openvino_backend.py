"""Networks on the CPU: OpenVINO models, converted from PyTorch once and kept in the cache.

Once converted, PyTorch is not imported any more. Measured on 2 cores: a model compiled for a fixed batch is 1.3 to 2
times faster than one with a dynamic batch, and batches of 2 and 4 are 10 to 18 % faster than one image after the
other; a batch that is not filled costs as much as a full one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_perception.networks.catalogue import NetworkSpec
from pose_perception.networks.weights import cache_directory, writing_to_cache

_FILES = ("model.xml", "model.bin")


class OpenvinoBackend:
    """Runs a converted model; compiles it for each batch size when first needed.

    Args:
        folder: Folder of the converted model.
        precision: `fast` lets OpenVINO compute in bfloat16 where the CPU has it, `exact` forces float32.
        threads: CPU threads; 0 for OpenVINO's choice.
        batch_sizes: Those to compile for; None for those that suit most networks.
    """

    batch_sizes = (1, 2, 4)
    pads = False

    def __init__(self, folder: Path, precision: str, threads: int, batch_sizes: tuple[int, ...] | None = None) -> None:
        self.batch_sizes = batch_sizes or self.batch_sizes
        self._core = import_openvino().Core()
        # Read at once: a process with other code may remove the files of this one.
        self._model = self._core.read_model(folder / _FILES[0])
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if precision == "exact":
            self._options["INFERENCE_PRECISION_HINT"] = "f32"
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._requests: dict[int, Any] = {}

    def run(self, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run one batch with shape (N, H, W, C); the results are overwritten by the next run."""
        request = self._requests.get(len(images)) or self._compile(images.shape)
        request.infer([images], share_inputs=True, share_outputs=True)
        return [tensor.data for tensor in request.output_tensors]

    def _compile(self, shape: tuple[int, ...]) -> Any:
        model = self._model.clone()
        model.reshape(list(shape))
        request = self._core.compile_model(model, "CPU", self._options).create_infer_request()
        self._requests[shape[0]] = request
        return request


def ensure_converted(
    spec: NetworkSpec, digest: str, content: Sequence[bytes], size: tuple[int, int], outputs: Mapping[str, str]
) -> Path:
    """Return the folder of the converted model; convert it when the cache has none that is intact.

    A new conversion replaces those that other weights, code or another OpenVINO made of the same.

    Args:
        spec: What to convert.
        digest: sha256 of its weights.
        content: The files of its weights.
        size: (height, width) of the input, px.
        outputs: The results wanted.

    Raises:
        WeightsError: the cache cannot be written.
    """
    what = f"{spec.name}-{size[0]}x{size[1]}-{_short_hash(list(outputs.items()))}-"
    folder = cache_directory() / "openvino" / (what + _short_hash([digest, repr(spec), _converter_digest()]))
    if not _is_intact(folder):
        with writing_to_cache():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as temporary:
                made = Path(temporary) / "model"
                made.mkdir()
                _convert(spec, content, size, outputs, made)
                _publish(made, folder)
            for other in set(folder.parent.glob(f"{what}*")) - {folder}:
                shutil.rmtree(other, ignore_errors=True)
    return folder


def import_openvino() -> ModuleType:
    """Import OpenVINO without its usage reports: by default the mere import sends one over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes its import fail
    import openvino

    return openvino


def _convert(
    spec: NetworkSpec, content: Sequence[bytes], size: tuple[int, int], outputs: Mapping[str, str], folder: Path
) -> None:
    import torch

    openvino = import_openvino()
    module = spec.build(content, size, outputs).requires_grad_(False)
    example = torch.zeros((1, *size, spec.channels), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenVINO traces with torch.jit, which warns that it is old
        model = openvino.convert_model(
            module, example_input=example, input=openvino.PartialShape([-1, *size, spec.channels])
        )
    for output, name in zip(model.outputs, outputs, strict=True):
        output.get_tensor().set_names({name})
    openvino.save_model(model, folder / _FILES[0], compress_to_fp16=False)
    checksums = {file: _sha256(folder / file) for file in _FILES}
    (folder / "checksums.json").write_text(json.dumps(checksums), encoding="utf-8")


def _publish(made: Path, folder: Path) -> None:
    """Move a finished model to its place; another process may have been faster."""
    if folder.exists() and not _is_intact(folder):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        os.rename(made, folder)
    except OSError:
        if not _is_intact(folder):
            raise


def _is_intact(folder: Path) -> bool:
    try:
        checksums = json.loads((folder / "checksums.json").read_text(encoding="utf-8"))
        return all(_sha256(folder / file) == checksums[file] for file in _FILES)
    except (OSError, ValueError, KeyError):
        return False


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _short_hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def _converter_digest() -> str:
    """Return a sha256 of the code that converts and of OpenVINO's version; a change makes old models unused."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + version("openvino").encode())
    for folder in ("importers", "architectures"):
        for path in sorted((Path(__file__).parent / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()

"""Tests for networks/runtime.py and its backends: any number of images, cached models, and honest devices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_perception.errors import ConfigurationError, DeviceError, InvalidInputError, WeightsError
from pose_perception.networks import openvino_backend, runtime
from pose_perception.networks.runtime import Network, choose_device, load_network, plan_batches
from pose_perception.networks.weights import cache_directory, find_weights
from pose_perception.simulation.sequence import SimulatedSequence

ROOT = Path(__file__).resolve().parents[1]
SMALL = "hand_recrop"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a new cache that holds only the weights of one small network."""
    weights = find_weights(SMALL)
    try:
        weights.read()
    except WeightsError as error:
        pytest.skip(str(error))
    source = weights.cached_path(weights.files[0])
    monkeypatch.setenv("POSE_PERCEPTION_CACHE", str(tmp_path))
    target = weights.cached_path(weights.files[0])
    target.parent.mkdir(parents=True)
    shutil.copy(source, target)
    return tmp_path


def load(name: str, **arguments: object) -> Network:
    try:
        return load_network(name, device="cpu", **arguments)
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def people(simulated: SimulatedSequence) -> np.ndarray:
    """Return 17 square pictures of a simulated person with shape (17, 256, 256, 3)."""
    camera, pictures = simulated.camera, []
    for color, positions in zip(simulated.color[:17], simulated.positions[:17, 0], strict=True):
        pixels = positions[:, :2] / positions[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        side = 1.25 * float((high - low).max())
        crop = cv2.getRectSubPix(np.ascontiguousarray(color), (round(side),) * 2, tuple(map(float, (low + high) / 2)))
        pictures.append(cv2.resize(crop, (256, 256), interpolation=cv2.INTER_AREA))
    return np.stack(pictures)


def noise(count: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, *size, 3), np.uint8)


@pytest.mark.parametrize("name", ["movenet_thunder", "blazepose_detector", "blazepose_full"])
def test_exact_network_equals_the_pytorch_module(name: str) -> None:
    torch = pytest.importorskip("torch")
    network = load(name, precision="exact")
    images = noise(1, network.input_size)
    spec = runtime.find_spec(name)
    module = spec.build(find_weights(name).read(), spec.input_size, spec.outputs)
    with torch.inference_mode():
        expected = dict(zip(module.output_names, module(torch.from_numpy(images)), strict=True))
    for key, values in network(images).items():
        spread = max(1.0, float(expected[key].abs().max()))
        np.testing.assert_allclose(values / spread, expected[key].numpy() / spread, atol=5e-4, err_msg=key)


def test_fast_network_agrees_with_the_exact_one() -> None:
    fast, exact = (load("movenet_thunder", precision=precision) for precision in ("fast", "exact"))
    images = noise(1, fast.input_size)
    a, b = (network(images)["kpt_heatmap"] for network in (fast, exact))
    assert np.abs(a - b).max() < 0.1
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_batch_gives_what_single_images_give(count: int) -> None:
    network = load(SMALL, precision="exact")
    images = noise(count, network.input_size)
    together = network(images)["crop"]
    alone = np.concatenate([network(image[None])["crop"] for image in images])
    assert together.shape == alone.shape == (count, 1, 1, 4)
    np.testing.assert_allclose(together, alone, atol=1e-2)


def test_no_images_give_empty_results() -> None:
    network = load("movenet_thunder", outputs=["kpt_heatmap"])
    assert {key: value.shape for key, value in network(noise(0, (256, 256))).items()} == {
        "kpt_heatmap": (0, 64, 64, 17)
    }


def test_results_stay_after_the_next_call() -> None:
    network = load(SMALL)
    first = network(noise(1, network.input_size))["crop"]
    kept = first.copy()
    network(np.zeros((1, *network.input_size, 3), np.uint8))
    np.testing.assert_array_equal(first, kept)


def test_view_into_a_larger_image_is_accepted() -> None:
    network = load(SMALL, precision="exact")
    large = noise(1, (400, 500))
    view = large[:, 50:306, 100:356, ::-1]
    np.testing.assert_array_equal(network(view)["crop"], network(view.copy())["crop"])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 256, 256, 3), np.float32),  # type
        np.zeros((256, 256, 3), np.uint8),  # no batch axis
        np.zeros((1, 192, 192, 3), np.uint8),  # size
        np.zeros((1, 256, 256, 4), np.uint8),  # channels
    ],
)
def test_unusable_images_are_refused(images: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="uint8 images with shape"):
        load(SMALL)(images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "yolo"}, "movenet_thunder"),
        ({"name": SMALL, "device": "tpu"}, "cuda"),
        ({"name": SMALL, "precision": "int8"}, "exact"),
        ({"name": SMALL, "input_size": (128, 128)}, "only works at"),
        ({"name": "movenet_multipose", "input_size": (100, 128)}, "multiples of 32"),
        ({"name": SMALL, "outputs": ["landmarks"]}, "crop"),
    ],
)
def test_wrong_arguments_name_the_choices(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_network(**arguments)


def test_missing_gpu_is_an_error_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_DRIVER_FILES", ("/nonexistent",))
    assert choose_device("auto") == "cpu"
    with pytest.raises(DeviceError, match="'cpu'"):
        choose_device("cuda")


def test_gpu_that_does_not_work_is_an_error_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(runtime, "_DRIVER_FILES", (str(tmp_path),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", fail)
    with pytest.warns(RuntimeWarning, match="no kernel image"):
        assert choose_device("auto") == "cpu"
    with pytest.raises(DeviceError, match=r"no kernel image.*'cpu'"):
        choose_device("cuda")


def test_network_that_does_not_fit_on_the_gpu_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    load(SMALL)

    def fail(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(runtime, "choose_device", lambda _: "cuda")
    monkeypatch.setattr(torch.nn.Module, "to", fail)
    with pytest.raises(DeviceError, match=r"hand_recrop.*out of memory.*'cpu'"):
        load_network(SMALL, device="cuda")


@pytest.mark.usefixtures("own_cache")
def test_converted_model_is_loaded_without_pytorch() -> None:
    load(SMALL)
    code = (
        "import sys, numpy; from pose_perception.networks.runtime import load_network; "
        f"load_network({SMALL!r}, device='cpu')(numpy.zeros((1, 256, 256, 3), numpy.uint8)); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


def test_nothing_is_reported_over_the_network(own_cache: Path) -> None:
    home = own_cache / "home"
    home.mkdir()
    code = (
        "import socket, sys\n"
        "def refuse(*_): sys.exit('a connection was opened')\n"
        "socket.getaddrinfo = refuse\n"
        "from pose_perception.networks.runtime import load_network\n"
        f"load_network({SMALL!r}, device='cpu')\n"
        "sys.exit('openvino_telemetry.main' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list(home.glob("intel*"))


@pytest.mark.parametrize("file", ["model.xml", "model.bin", "checksums.json"])
def test_damaged_converted_model_is_made_again(own_cache: Path, file: str) -> None:
    image = noise(1, (256, 256))
    before = load(SMALL)(image)["crop"]
    (folder,) = (own_cache / "openvino").iterdir()
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    np.testing.assert_array_equal(load(SMALL)(image)["crop"], before)
    assert len((folder / file).read_bytes()) > len(content) // 2
    assert list((own_cache / "openvino").iterdir()) == [folder]


def test_newer_conversion_replaces_the_older_one_under_a_process_that_runs_it(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = noise(2, (256, 256))
    running = load(SMALL, precision="exact")
    (older,) = (own_cache / "openvino").iterdir()
    other = own_cache / "openvino" / "another_network-256x256-0123-4567"
    other.mkdir()
    monkeypatch.setattr(openvino_backend, "version", lambda _: "another one")
    newer = load(SMALL, precision="exact")
    assert not older.exists()
    assert other.exists()
    # Its first pair of images: compiled only now.
    np.testing.assert_array_equal(running(images)["crop"], newer(images)["crop"])


@pytest.mark.usefixtures("own_cache")
def test_altered_weights_are_noticed_although_the_model_is_converted() -> None:
    load(SMALL)
    weights = find_weights(SMALL)
    weights.cached_path(weights.files[0]).write_bytes(b"something else")
    with pytest.raises(WeightsError, match="altered"):
        load_network(SMALL, device="cpu")
    assert cache_directory().exists()


@pytest.mark.parametrize("pads", [True, False])
@pytest.mark.parametrize("sizes", [(1, 2, 4), (1, 2, 4, 8, 16), (1,)])
def test_batches_cover_every_image_once(sizes: Sequence[int], pads: bool) -> None:
    for count in range(40):
        plan = list(plan_batches(count, sizes, pads))
        assert [image for start, stop, _ in plan for image in range(start, stop)] == list(range(count))
        assert all(size in sizes and stop - start <= size for start, stop, size in plan)
        unused = [size - (stop - start) for start, stop, size in plan]
        assert not any(unused[:-1])
        assert pads or not any(unused)


class PaddingBackend:
    """Stands for a GPU, which runs only full batches: returns the mean of each image."""

    batch_sizes = (1, 4)
    pads = True

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Refuse what a CUDA graph would refuse."""
        assert len(images) in self.batch_sizes
        return [images.mean(axis=(1, 2, 3), dtype=np.float32)]


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_padded_images_leave_no_trace(count: int) -> None:
    network = Network("means", (8, 8), ["mean"], "cuda", PaddingBackend())
    images = noise(count, (8, 8))
    np.testing.assert_allclose(network(images)["mean"], images.mean(axis=(1, 2, 3)), rtol=1e-5)


HAS_DRIVER = any(Path(file).exists() for file in runtime._DRIVER_FILES)


@pytest.mark.skipif(not HAS_DRIVER, reason="no NVIDIA driver")
@pytest.mark.parametrize("precision", ["fast", "exact"])
def test_cuda_agrees_with_the_cpu(precision: str) -> None:
    cpu = load("movenet_thunder", precision="exact")
    cuda = load_network("movenet_thunder", device="cuda", precision=precision)
    images = noise(3, cpu.input_size)
    tolerance = 1e-3 if precision == "exact" else 3e-2
    np.testing.assert_allclose(cuda(images)["kpt_heatmap"], cpu(images)["kpt_heatmap"], atol=tolerance)


@pytest.mark.skipif(not HAS_DRIVER, reason="no NVIDIA driver")
@pytest.mark.parametrize("count", [1, 3, 17])  # fills a batch, leaves one unfilled, and needs a second one
@pytest.mark.parametrize(("precision", "median_px", "largest_px"), [("fast", 0.3, 1.0), ("exact", 0.01, 0.1)])
def test_landmarks_of_cuda_lie_where_those_of_the_cpu_do(
    people: np.ndarray, precision: str, median_px: float, largest_px: float, count: int
) -> None:
    outputs = ["landmarks"]
    cpu = load("blazepose_full", precision="exact", outputs=outputs)
    cuda = load_network("blazepose_full", device="cuda", precision=precision, outputs=outputs)
    images = np.ascontiguousarray(people[:count])
    expected, found = (network(images)["landmarks"].reshape(count, -1, 5)[..., :2] for network in (cpu, cuda))
    distances = np.linalg.norm(found - expected, axis=-1)
    assert np.median(distances) < median_px
    assert distances.max() < largest_px

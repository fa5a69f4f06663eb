"""Time of the networks alone on the CPU: OpenVINO as the package runs it against LiteRT (XNNPACK), one image.

Run from the root of the repository with fetched weights and `ai-edge-litert` installed:

    python benchmarks/networks.py [--rounds 60] [--threads 2] [NETWORK ...]

The runs alternate, so that other work on the machine disturbs all columns alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pose_perception.networks.catalogue import CATALOGUE, find_spec
from pose_perception.networks.runtime import load_network
from pose_perception.networks.weights import find_weights

_WARM_UP_ROUNDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one row per network: median milliseconds, and the time relative to LiteRT."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tflite = [name for name, spec in CATALOGUE.items() if spec.input_tensor is None]
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(tflite)}")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(arguments)
    if unknown := set(args.networks) - set(tflite):
        parser.error(f"no TFLite network: {', '.join(sorted(unknown))}")
    print("| network | OpenVINO fast | OpenVINO exact | LiteRT | fast / LiteRT | exact / LiteRT |")
    print("|---|---|---|---|---|---|")
    for name in args.networks or ["blazepose_detector", "blazepose_lite", "blazepose_full", "blazepose_heavy"]:
        fast, exact, litert = (1e3 * time_s for time_s in compare(name, args.rounds, args.threads))
        ratios = f"{fast / litert:.2f} | {exact / litert:.2f}"
        print(f"| {name} | {fast:.1f} ms | {exact:.1f} ms | {litert:.1f} ms | {ratios} |", flush=True)
    return 0


def compare(name: str, rounds: int, threads: int) -> list[float]:
    """Return the median seconds of one image with OpenVINO fast, OpenVINO exact and LiteRT."""
    height, width = find_spec(name).input_size
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    fast, exact = (load_network(name, "cpu", precision, threads=threads) for precision in ("fast", "exact"))
    runs = [lambda: fast(image), lambda: exact(image), _litert(name, image, threads)]
    times = [[_seconds(run) for run in runs] for _ in range(_WARM_UP_ROUNDS + rounds)]
    return np.median(times[_WARM_UP_ROUNDS:], axis=0).tolist()


def _litert(name: str, image: np.ndarray, threads: int) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    spec = find_spec(name)
    interpreter = Interpreter(model_content=find_weights(name).read()[0], num_threads=threads)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    prepared = image.astype(np.float32) * np.float32(spec.scale) + np.float32(spec.offset)

    def run() -> list[np.ndarray]:
        interpreter.set_tensor(index, prepared)
        interpreter.invoke()
        return [interpreter.get_tensor(output) for output in outputs]

    return run


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())

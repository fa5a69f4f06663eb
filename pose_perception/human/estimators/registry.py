"""The estimators by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from pose_perception.errors import ConfigurationError
from pose_perception.human.estimators.base import EstimationConfig, Estimator


def _imported(module: str, name: str, **arguments: object) -> Callable[[str, EstimationConfig], Estimator]:
    """Return a function that imports an estimator when it is made: no estimator pays for the imports of the others."""

    def make(device: str, config: EstimationConfig) -> Estimator:
        return getattr(import_module(f"pose_perception.human.estimators.{module}"), name)(device, config, **arguments)

    return make


ESTIMATORS: dict[str, Callable[[str, EstimationConfig], Estimator]] = {
    "default": _imported("default", "DefaultEstimator"),
    **{
        f"blazepose-{size}": _imported("blazepose", "BlazePoseEstimator", size=size)
        for size in ("lite", "full", "heavy")
    },
    "movenet-multipose": _imported("movenet_finder", "MovenetMultiposeEstimator"),
    **{
        f"movenet-{kind}": _imported("movenet_single", "MovenetSingleEstimator", kind=kind)
        for kind in ("thunder", "lightning")
    },
    "openpose": _imported("openpose", "OpenPoseEstimator"),
    "deepcut": _imported("deepcut", "DeepCutEstimator"),
    "mask-rcnn": _imported("mask_rcnn", "MaskRcnnEstimator"),
    "deeppose": _imported("deeppose", "DeepPoseEstimator"),
    "onnx": _imported("onnx", "OnnxEstimator"),
}
"""Name to a function that takes the device (auto, cuda or cpu) and the configuration, and loads the estimator."""
_TAKE_A_FILE = ("openpose", "mask-rcnn", "onnx")


def make_estimator(name: str, device: str, config: EstimationConfig | None = None) -> Estimator:
    """Load an estimator.

    Args:
        name: One of `ESTIMATORS`.
        device: auto, cuda or cpu.
        config: What single estimators want to know.

    Raises:
        ConfigurationError: there is no estimator of that name, or it lacks something that the configuration must say.
        WeightsError: its weights are missing or altered.
        DeviceError: the device is not there.
    """
    if name not in ESTIMATORS:
        raise ConfigurationError(f"unknown estimator {name!r}; there are {', '.join(ESTIMATORS)}")
    if config is not None and config.network_file and name not in _TAKE_A_FILE:
        raise ConfigurationError(
            f"estimator {name} takes no network_file, only {', '.join(_TAKE_A_FILE)} do: choose one of these, or leave "
            f"{config.network_file} out"
        )
    return ESTIMATORS[name](device, config or EstimationConfig())

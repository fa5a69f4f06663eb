"""The choice of an estimator on a command line."""

from __future__ import annotations

import argparse
from dataclasses import fields

from pose_perception.human.estimators.base import EstimationConfig, Estimator
from pose_perception.human.estimators.registry import ESTIMATORS, make_estimator
from pose_perception.networks.runtime import DEVICES


def add_estimator_options(parser: argparse.ArgumentParser) -> None:
    """Add `--estimator`, `--device`, and what single estimators want to know."""
    parser.add_argument(
        "--estimator", default="default", choices=tuple(ESTIMATORS), help="keypoint estimator (%(default)s)"
    )
    parser.add_argument("--device", default="auto", choices=DEVICES, help="where the networks run (%(default)s)")
    add_estimation_options(parser)


def add_estimation_options(parser: argparse.ArgumentParser) -> None:
    """Add one option for each field of `EstimationConfig`."""
    for item in fields(EstimationConfig):
        parser.add_argument(
            f"--{item.name.replace('_', '-')}",
            default=item.default,
            choices=item.metadata["choices"],
            metavar=None if item.metadata["choices"] else "FILE",
            help=item.metadata["description"],
        )


def estimation_config(args: argparse.Namespace) -> EstimationConfig:
    """Return what the options say to single estimators."""
    return EstimationConfig(**{item.name: getattr(args, item.name) for item in fields(EstimationConfig)})


def estimator_from(args: argparse.Namespace) -> Estimator:
    """Load the estimator that the options name.

    Raises:
        ConfigurationError: it lacks something that the options must say.
        WeightsError: its weights are missing or altered.
        DeviceError: the device is not there.
    """
    return make_estimator(args.estimator, args.device, estimation_config(args))

"""Tests for the network that compares poses: what a user would notice. The weights are random."""

import numpy as np
import pytest
import torch
from safetensors.torch import save

from pose_perception.errors import WeightsError
from pose_perception.networks.architectures.pose_matcher import (
    CROP_PX,
    CROP_RADII,
    FARTHEST_RADII,
    OUTPUTS,
    PackedMatcher,
    PoseMatcher,
    build_network,
)
from pose_perception.objects import matcher as core
from pose_perception.objects.matcher import pack


@pytest.fixture(scope="module")
def matcher() -> PoseMatcher:
    torch.manual_seed(0)
    network = PoseMatcher().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.02, 0.1)  # signals that survive all layers
    return network


def _input(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (count, CROP_PX, CROP_PX, 6), np.uint8)
    depths = rng.normal(0, 0.8, (count, CROP_PX, CROP_PX, 2)).astype(np.float32)
    depths[rng.random(depths.shape) < 0.2] = np.nan
    return colors, depths, rng.uniform(0.03, 0.5, count).astype(np.float32)


def _packed(matcher: PoseMatcher, *values: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat(PackedMatcher(matcher, OUTPUTS)(torch.from_numpy(pack(*values))), dim=1).numpy()


def test_core_and_network_agree_on_sizes() -> None:
    assert (core.CROP_PX, core.CROP_RADII, core.FARTHEST_RADII) == (CROP_PX, CROP_RADII, FARTHEST_RADII)


def test_packed_network_says_what_the_network_says(matcher: PoseMatcher) -> None:
    values = _input(6)
    with torch.inference_mode():
        shift, turn, rank, accept = matcher(*map(torch.from_numpy, values))
    plain = torch.cat([shift, turn, rank[:, None], accept[:, None]], dim=1).numpy()
    packed = _packed(matcher, *values)
    spread = plain.std(0)
    assert np.all(spread > 0)
    assert np.all(np.abs(packed - plain) < 0.02 * spread)


def test_depth_that_is_too_far_is_as_none(matcher: PoseMatcher) -> None:
    colors, depths, nearness = _input(2)
    far = np.where(np.isnan(depths), np.float32(50), depths)
    assert np.allclose(_packed(matcher, colors, depths, nearness), _packed(matcher, colors, far, nearness))


def test_hypotheses_compared_together_are_judged_as_alone(matcher: PoseMatcher) -> None:
    values = _input(7, seed=1)
    together = _packed(matcher, *values)
    alone = np.concatenate([_packed(matcher, *(value[i : i + 1] for value in values)) for i in range(7)])
    assert np.allclose(together, alone, atol=1e-3 * together.std())
    assert _packed(matcher, *(value[:1] for value in values)).shape == (1, 8)


def test_only_the_wanted_results_are_made(matcher: PoseMatcher) -> None:
    images = torch.from_numpy(pack(*_input(3)))
    with torch.inference_mode():
        rank, shift = PackedMatcher(matcher, ("rank", "shift"))(images)
    assert rank.shape == (3, 1)
    assert shift.shape == (3, 3)


def test_network_is_built_from_its_weights(matcher: PoseMatcher) -> None:
    built = build_network([save(matcher.state_dict())], (CROP_PX, CROP_PX), OUTPUTS)
    images = torch.from_numpy(pack(*_input(2)))
    with torch.inference_mode():
        assert torch.equal(built(images)[1], PackedMatcher(matcher, OUTPUTS)(images)[1])


def test_half_precision_weights_are_enough(matcher: PoseMatcher) -> None:
    halved = {k: v.half() if v.is_floating_point() else v for k, v in matcher.state_dict().items()}
    built = build_network([save(halved)], (CROP_PX, CROP_PX), OUTPUTS)
    images = torch.from_numpy(pack(*_input(4)))
    with torch.inference_mode():
        turn = PackedMatcher(matcher, OUTPUTS)(images)[1]
        assert (built(images)[1] - turn).abs().max() < 0.1 * turn.std()


def test_other_weights_are_refused(matcher: PoseMatcher) -> None:
    state = matcher.state_dict()
    name = next(iter(state))
    for content in (
        save({**state, name: torch.zeros(3, 3)}),  # another shape
        save({k: v for k, v in state.items() if k != name}),  # one is missing
        save({**state, "more": torch.zeros(1)}),
        b"no weights at all",
    ):
        with pytest.raises(WeightsError, match="pose matcher"):
            build_network([content], (CROP_PX, CROP_PX), OUTPUTS)

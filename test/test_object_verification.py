"""Tests for rendering and comparing: what a user would notice."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

from object_scenes import INTRINSICS, SIZE, painted_box, photograph

from pose_perception.objects.crops import Observation
from pose_perception.objects.model import sample_surface
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.surface import surface_of
from pose_perception.objects.verification import USUALLY_CONTINUED, Evidence, glance, verify

CENTER, RADIUS = np.zeros(3), 0.076
TRUTH = np.eye(4)
TRUTH[:3, :3] = Rotation.from_rotvec([0.6, 0.9, 0.2]).as_matrix()
TRUTH[:3, 3] = [0.04, 0.02, 0.6]


@pytest.fixture(scope="module")
def renderer() -> RaycastingRenderer:
    return RaycastingRenderer(surface_of(painted_box()))


def _verify(
    renderer: RaycastingRenderer, poses: list[np.ndarray], seen: Observation, mask: np.ndarray | None = None
) -> Evidence:
    said = None if mask is None else Observation(seen.image, mask.astype(np.float32), INTRINSICS)
    return verify(renderer, np.stack(poses), CENTER, RADIUS, seen, said, 80, color=True)


def _shifted(*by: float) -> np.ndarray:
    pose = TRUTH.copy()
    pose[:3, 3] += by
    return pose


def _turned(*by: float) -> np.ndarray:
    pose = TRUTH.copy()
    pose[:3, :3] = Rotation.from_rotvec(by).as_matrix() @ TRUTH[:3, :3]
    return pose


def test_right_pose_has_all_evidence_for_it(renderer: RaycastingRenderer) -> None:
    seen = photograph(renderer, TRUTH)
    found = _verify(renderer, [TRUTH], seen, seen.depth < 0.9)
    assert found.score[0] > 0.9
    assert found.inlier[0] > 0.95
    assert found.color[0] > 0.95
    assert found.uncovered[0] < 0.05
    assert found.covered[0] > 0.95
    shares = found.inlier + found.violated + found.hidden + found.unknown
    assert shares[0] == pytest.approx(1, abs=1e-9)


def test_wrong_poses_score_below_the_right_one(renderer: RaycastingRenderer) -> None:
    seen = photograph(renderer, TRUTH)
    wrong = [
        _shifted(0.03, 0, 0),
        _shifted(0, -0.03, 0),
        _shifted(0, 0, 0.04),
        _shifted(0, 0, -0.04),
        _turned(0.6, 0, 0),
        _turned(0, 0, 0.6),
        _shifted(-0.2, 0.1, 0),  # beside it, before the wall
    ]
    for mask in (None, seen.depth < 0.9):
        score = _verify(renderer, [TRUTH, *wrong], seen, mask).score
        assert score[0] > score[1:].max() + 0.05
        assert score[-1] < 0.05


def test_pose_that_is_seen_through_is_violated_not_hidden(renderer: RaycastingRenderer) -> None:
    seen = photograph(renderer, TRUTH)
    found = _verify(renderer, [_shifted(0, 0, -0.05), _shifted(0, 0, 0.05), _shifted(-0.2, 0.1, 0)], seen)
    assert found.violated[0] > 0.9
    assert found.hidden[0] < 0.05
    assert found.hidden[1] > 0.9
    assert found.violated[2] > 0.95


def test_what_stands_before_it_costs_less_than_free_space(renderer: RaycastingRenderer) -> None:
    whole = photograph(renderer, TRUTH)
    columns = np.nonzero((whole.depth < 0.9).any(0))[0]
    half = slice(0, int(columns.mean()))
    covered = photograph(renderer, TRUTH, occluder=(slice(None), half, 0.4))
    seen_through = photograph(renderer, TRUTH, occluder=(slice(None), half, 1.0))
    clear, hidden, through = (
        float(_verify(renderer, [TRUTH], seen).score[0]) for seen in (whole, covered, seen_through)
    )
    assert clear > hidden + 0.1
    assert hidden > through + 0.1
    assert 0.3 < _verify(renderer, [TRUTH], covered).hidden[0] < 0.7


def test_object_that_is_mostly_hidden_may_go_on(renderer: RaycastingRenderer) -> None:
    whole = photograph(renderer, TRUTH)
    columns = np.nonzero((whole.depth < 0.9).any(0))[0]
    most = slice(0, int(np.quantile(columns, 0.6)))
    found = _verify(renderer, [TRUTH], photograph(renderer, TRUTH, occluder=(slice(None), most, 0.4)))
    assert found.open_score[0] > found.score[0] + 0.15
    # What is hidden altogether could be anywhere, and what is seen through is wrong all the same.
    covered = photograph(renderer, TRUTH, occluder=(slice(None), slice(None), 0.4))
    through = photograph(renderer, TRUTH, occluder=(slice(None), slice(None), 1.0))
    for seen in (covered, through):
        assert _verify(renderer, [TRUTH], seen).open_score[0] == 0


def test_glance_says_nearly_what_renderings_say(renderer: RaycastingRenderer) -> None:
    points, normals, _ = sample_surface(surface_of(painted_box()), 4000)
    poses = [TRUTH, _shifted(0.02, 0, 0), _shifted(0, 0, -0.03), _shifted(0, 0, 0.03), _turned(0, 0, 0.6)]
    seen = photograph(renderer, TRUTH)
    rendered = _verify(renderer, poses, seen).score
    looked = glance(np.stack(poses), points, normals, RADIUS, seen, None)
    assert looked.shape == (5,)
    assert np.abs(looked - rendered).max() < 0.2
    assert looked.argmax() == 0
    assert looked[0] > 0.9
    # Outside of the image and behind the camera there is nothing.
    away = np.stack([_shifted(3, 0, 0), _shifted(0, 0, -2)])
    assert glance(away, points, normals, RADIUS, seen, None).max() < 0.1
    elsewhere = Observation(seen.image, np.float32(seen.depth > 0.9), INTRINSICS)
    assert glance(TRUTH[None], points, normals, RADIUS, seen, elsewhere)[0] < 0.1


def test_object_that_is_not_there_scores_nothing(renderer: RaycastingRenderer) -> None:
    wall = Observation(np.full((*SIZE, 3), 90, np.uint8), np.ones(SIZE, np.float32), INTRINSICS)
    assert _verify(renderer, [TRUTH], wall).score[0] < 0.02


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_missing_depth_is_unknown(renderer: RaycastingRenderer, nothing: float) -> None:
    seen = photograph(renderer, TRUTH)
    blind = Observation(seen.image, np.full(SIZE, nothing, np.float32), INTRINSICS)
    found = _verify(renderer, [TRUTH], blind)
    assert found.unknown[0] == 1
    assert found.score[0] == 0
    assert found.color[0] == 0


def test_mask_beside_it_speaks_against_it(renderer: RaycastingRenderer) -> None:
    seen = photograph(renderer, TRUTH)
    mask = np.zeros(SIZE, np.bool_)
    mask[:, :150] = True
    found = _verify(renderer, [TRUTH], seen, mask)
    assert found.covered[0] == 0
    assert found.score[0] < 0.6
    empty = _verify(renderer, [TRUTH], seen, np.zeros(SIZE, np.bool_))
    assert np.all(np.isfinite(empty.score))


def test_colours_tell_apart_what_the_shape_does_not(renderer: RaycastingRenderer) -> None:
    seen = photograph(renderer, TRUTH)
    over = TRUTH @ np.diag([-1.0, -1, 1, 1])
    found = _verify(renderer, [TRUTH, over], seen)
    assert abs(found.score[0] - found.score[1]) < 0.02
    assert found.color[0] > found.color[1] + 0.3


def test_brightness_of_the_room_does_not_matter(renderer: RaycastingRenderer) -> None:
    seen = photograph(renderer, TRUTH)
    dark = Observation(np.uint8(seen.image * 0.4 + 20), seen.depth, INTRINSICS)
    assert _verify(renderer, [TRUTH], dark).color[0] > 0.9
    grey = Observation(np.full((*SIZE, 3), 128, np.uint8), seen.depth, INTRINSICS)
    assert abs(_verify(renderer, [TRUTH], grey).color[0]) < 0.1


def test_what_goes_on_beyond_the_outline_is_told_where_planes_are_known(renderer: RaycastingRenderer) -> None:
    facing = np.eye(4)
    facing[:3, 3] = [0.04, 0.02, 0.6]
    seen = photograph(renderer, facing)
    assert _verify(renderer, [facing], seen).continued[0] == USUALLY_CONTINUED
    alone = seen.with_standing(np.where(seen.depth < 0.9, seen.depth, 0))
    # In the midst of something larger, before a wall that is no plane, and behind a bar across its middle.
    depth = np.minimum(seen.depth, np.float32(0.575))
    part = Observation(seen.image, depth, INTRINSICS).with_standing(depth)
    before_a_wall = seen.with_standing(seen.depth)
    barred = photograph(renderer, facing, occluder=(slice(240, 280), slice(0, 640), 0.4))
    barred = barred.with_standing(np.where(barred.depth < 0.9, barred.depth, 0))
    for free in (alone, before_a_wall, barred):
        assert _verify(renderer, [facing], free).continued[0] < 0.1
    assert _verify(renderer, [facing], part).continued[0] > 0.9
    # Hypotheses beside each other do not disturb each other.
    away = facing.copy()
    away[0, 3] += 0.4
    np.testing.assert_array_equal(
        _verify(renderer, [away, facing, away], part).continued,
        [_verify(renderer, [pose], part).continued[0] for pose in (away, facing, away)],
    )


def test_what_of_it_lies_on_a_plane_that_was_taken_away_is_told(renderer: RaycastingRenderer) -> None:
    facing = np.eye(4)
    facing[:3, 3] = [0.0, 0.0, 0.6]
    seen = photograph(renderer, facing)
    there = seen.depth < 0.9
    left = there & (np.arange(SIZE[1]) < INTRINSICS[2])
    for free, share in ((there, 1.0), (left, 0.5), (np.zeros_like(there), 0.0)):
        standing = seen.with_standing(np.where(free, seen.depth, np.float32(0)))
        assert _verify(renderer, [facing], standing).standing[0] == pytest.approx(share, abs=0.04)
    assert _verify(renderer, [facing], seen).standing[0] == 1


def test_what_lies_outside_of_the_mask_speaks_against_a_hypothesis_at_a_glance(renderer: RaycastingRenderer) -> None:
    # Everything lies at the depth of the face of a plate, whose mask is small.
    edges = np.linspace(-0.06, 0.06, 12)
    points = np.stack([*np.meshgrid(edges, edges), np.zeros((12, 12))], axis=2).reshape(-1, 3)
    normals = np.tile([0.0, 0.0, -1.0], (len(points), 1))
    depth = np.full(SIZE, 0.6, np.float32)
    seen = Observation(np.zeros((*SIZE, 3), np.uint8), depth, INTRINSICS)
    pixel = 605.0 / 0.6
    inside = np.zeros(SIZE, np.float32)
    inside[int(242 - 0.065 * pixel) : int(242 + 0.065 * pixel), int(318 - 0.065 * pixel) : int(318 + 0.065 * pixel)] = 1
    mask = Observation(seen.image, inside, INTRINSICS)
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 2, 3] = 0.6
    poses[:, 0, 3] = [0.0, 0.06, 0.2]
    right, half, away = glance(poses, points, normals, RADIUS, seen, mask)
    assert right > 0.95
    assert 0.3 < half < 0.7
    assert away < 0.05

"""Tests for human/body_solver.py."""

import numpy as np
import pytest

from pose_perception.human.body_solver import BodyProblem, solve_bodies, with_bone_lengths

# A straight chain of four joints seen from the side; the third hides behind nothing, bones are 0.3 m.
_POINTS = np.array([[0.0, 0.0, 2.0], [0.25, 0.0, 1.83], [0.5, 0.0, 2.0], [0.75, 0.0, 1.83]])
_STARTS, _ENDS = np.array([0, 1, 2]), np.array([1, 2, 3])


def _problem(measured: np.ndarray, points: np.ndarray = _POINTS, nearest: float = np.nan) -> BodyProblem:
    people, joints = measured.shape
    length = np.linalg.norm(points[_ENDS] - points[_STARTS], axis=1)
    relative = points[_ENDS, 2] - points[_STARTS, 2]
    return BodyProblem(
        rays=np.tile(points / points[:, 2:], (people, 1, 1)),
        guess=np.tile(points[:, 2] + 0.04, (people, 1)),
        guess_sigma=np.full(joints, 0.12),
        measured=measured,
        measured_sigma=np.full((people, joints), 0.02),
        nearest=np.full((people, joints), nearest),
        starts=_STARTS,
        ends=_ENDS,
        lengths=np.tile(length, (people, 1)),
        length_sigmas=np.full((people, 3), 0.02),
        relative=np.tile(relative, (people, 1)),
        relative_sigma=np.full((people, 3), 0.1),
    )


def test_consistent_measurements_are_kept() -> None:
    solution = solve_bodies(_problem(_POINTS[None, :, 2]))
    assert np.allclose(solution.depth, _POINTS[:, 2], atol=0.01)
    assert (solution.weight > 0.9).all()


@pytest.mark.parametrize("joint", range(4))
@pytest.mark.parametrize("error", [-0.4, 0.4])  # a hand in front, a wall behind
def test_one_wrong_measurement_is_found_and_replaced_by_the_bones(joint: int, error: float) -> None:
    measured = _POINTS[None, :, 2].copy()
    measured[0, joint] += error
    solution = solve_bodies(_problem(measured))
    assert solution.weight[0, joint] < 0.25
    assert np.allclose(solution.depth, _POINTS[:, 2], atol=0.06)


def test_unmeasured_joint_is_placed_by_bone_and_network_and_is_less_certain() -> None:
    measured = _POINTS[None, :, 2].copy()
    measured[0, 3] = np.nan
    solution = solve_bodies(_problem(measured))
    assert solution.depth[0, 3] == pytest.approx(_POINTS[3, 2], abs=0.03)
    assert solution.weight[0, 3] == 0
    assert solution.sigma[0, 3] > 1.5 * solution.sigma[0, 1]


def test_joint_without_a_pixel_has_no_depth_and_disturbs_nobody() -> None:
    problem = _problem(_POINTS[None, :, 2])
    problem.rays[0, 2] = np.nan
    solution = solve_bodies(problem)
    assert np.isnan(solution.depth[0, 2])
    assert np.allclose(solution.depth[0, [0, 1, 3]], _POINTS[[0, 1, 3], 2], atol=0.02)


def test_people_are_solved_independently() -> None:
    alone = solve_bodies(_problem(_POINTS[None, :, 2])).depth[0]
    measured = np.stack([_POINTS[:, 2], _POINTS[:, 2] + np.array([0.3, 0, -0.3, 0])])
    assert np.allclose(solve_bodies(_problem(measured)).depth[0], alone, atol=1e-9)


def test_joint_hidden_by_a_surface_lies_behind_it() -> None:
    measured = _POINTS[None, :, 2].copy()
    measured[0, 3] = np.nan
    free = solve_bodies(_problem(measured)).depth[0, 3]
    surface = free + 0.05
    hidden = solve_bodies(_problem(measured, nearest=surface)).depth[0]
    assert hidden[3] > surface - 0.02 > free
    # What is measured is what is seen: the bound does not touch it.
    assert np.allclose(hidden[:3], solve_bodies(_problem(measured)).depth[0, :3], atol=0.01)


def test_bones_get_their_lengths_and_uncertain_joints_move_most() -> None:
    positions = _POINTS[None].copy()
    positions[0, 1] += [0.03, 0.0, 0.0]
    sigmas = np.array([0.005, 0.03, 0.005, 0.005])
    covariances = np.eye(3) * np.square(sigmas)[None, :, None, None]
    true = np.linalg.norm(_POINTS[_ENDS] - _POINTS[_STARTS], axis=1)[None]
    moved = with_bone_lengths(positions, covariances, _STARTS, _ENDS, true, np.full((1, 3), 1e-3))
    lengths = np.linalg.norm(moved[:, _ENDS] - moved[:, _STARTS], axis=2)
    assert np.allclose(lengths, true, atol=2e-3)
    way = np.linalg.norm(moved - positions, axis=2)[0]
    assert way[1] > 3 * way[[0, 2, 3]].max()


def test_bones_of_unknown_length_move_nothing_and_missing_joints_stay_missing() -> None:
    positions = _POINTS[None].copy()
    positions[0, 2] = np.nan
    covariances = np.full((1, 4, 3, 3), 1e-4 * np.eye(3))
    covariances[0, 2] = np.nan
    lengths = 1.3 * np.linalg.norm(_POINTS[_ENDS] - _POINTS[_STARTS], axis=1)[None]
    vague = with_bone_lengths(positions, covariances, _STARTS, _ENDS, lengths, np.full((1, 3), 10.0))
    assert np.allclose(vague, positions, atol=1e-4, equal_nan=True)
    sharp = with_bone_lengths(positions, covariances, _STARTS, _ENDS, lengths, np.full((1, 3), 1e-3))
    assert np.array_equal(np.isnan(sharp), np.isnan(positions))
    assert np.isclose(np.linalg.norm(sharp[0, 1] - sharp[0, 0]), lengths[0, 0], atol=2e-3)
    assert np.array_equal(sharp[0, 3], positions[0, 3])  # no bone reaches it

"""Tests for human/estimators/crops.py."""

import numpy as np
import pytest

from pose_perception.human.estimators.crops import image_from_crops, rotated_crops, square_crops


def _dot(x: int, y: int) -> np.ndarray:
    image = np.zeros((300, 400, 3), np.uint8)
    image[y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


def _brightest(crop: np.ndarray) -> np.ndarray:
    v, u = np.nonzero(crop[..., 0] > 0.5 * crop.max())
    return np.array([u.mean(), v.mean()])


@pytest.mark.parametrize("box", [(150, 80, 250, 220), (330, 200, 399, 299), (-30, -40, 60, 90)])  # inside, at borders
@pytest.mark.parametrize("size", [64, 256])  # shrinks, grows
def test_square_tells_where_the_crop_lies(box: tuple[int, ...], size: int) -> None:
    x, y = max(box[0], 0) + 30, max(box[1], 0) + 40
    crops, squares = square_crops(_dot(x, y), np.array([box], float), 1.25, size)
    found = squares[0, :2] + (_brightest(crops[0]) + 0.5) * squares[0, 2] / size - 0.5
    assert np.allclose(found, [x, y], atol=squares[0, 2] / size + 0.5)


def test_outside_of_the_image_is_black_and_far_boxes_do_no_harm() -> None:
    white = np.full((300, 400, 3), 255, np.uint8)
    crops, _ = square_crops(white, np.array([[-100.0, 0, 100, 200], [900.0, 900, 950, 950]]), 1.0, 100)
    assert (crops[0, :, :49] == 0).all()
    assert (crops[0, :, 51:] == 255).all()
    assert (crops[1] == 0).all()


def test_no_boxes_give_no_crops() -> None:
    crops, squares = square_crops(_dot(5, 5), np.empty((0, 4)), 1.25, 64)
    assert crops.shape == (0, 64, 64, 3)
    assert squares.shape == (0, 3)


@pytest.mark.parametrize("angle", [0.0, 0.6, -2.0, np.pi])
def test_rotated_crop_and_its_map_agree(angle: float) -> None:
    region = np.array([[200.0, 150, 160, angle]])
    crop = rotated_crops(_dot(180, 190), region, 128)[0]
    affine = image_from_crops(region, 128)[0]
    assert np.allclose(affine[:, :2] @ _brightest(crop) + affine[:, 2], [180, 190], atol=1.5)


def test_rotation_turns_a_leaning_person_upright() -> None:
    # The head is up and to the right of the middle by 45 degrees: in the crop it is straight up.
    crop = rotated_crops(_dot(240, 110), np.array([[200.0, 150, 160, np.pi / 4]]), 128)[0]
    u, v = _brightest(crop)
    assert u == pytest.approx(64, abs=1.5)
    assert v < 30

"""Rigid transforms from and to the numbers in which people and messages write them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError


def matrix_from_quaternion(x: float, y: float, z: float, w: float) -> FloatArray:
    """Return the rotation matrix with shape (3, 3) of a quaternion that need not have unit length.

    Raises:
        InvalidInputError: the quaternion has no direction.
    """
    norm = float(np.sqrt(x * x + y * y + z * z + w * w))
    if not np.isfinite(norm) or norm < 1e-9:
        raise InvalidInputError(f"quaternion ({x}, {y}, {z}, {w}) is no rotation; no rotation at all is (0, 0, 0, 1)")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_matrix(rotation: FloatArray) -> FloatArray:
    """Return the unit quaternion (x, y, z, w) with shape (4,), w >= 0, of a rotation matrix with shape (3, 3)."""
    # Plain numbers: hands, heads and limbs need dozens for a message, and arrays this small are slow.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    # 4 times each element squared; divided by the largest, nothing is lost: Shepperd, "Quaternion from rotation
    # matrix", Journal of Guidance and Control 1(3), 1978.
    squares = (1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz)
    products = (
        (squares[0], xy + yx, xz + zx, zy - yz),
        (xy + yx, squares[1], yz + zy, xz - zx),
        (xz + zx, yz + zy, squares[2], yx - xy),
        (zy - yz, xz - zx, yx - xy, squares[3]),
    )
    best = products[squares.index(max(squares))]
    length = math.copysign(math.hypot(*best), best[3])
    return np.array(best) / length


def matrix_from_numbers(numbers: Sequence[float]) -> FloatArray:
    """Return a transform with shape (4, 4) from seven numbers: x, y, z and the quaternion x, y, z, w.

    Raises:
        InvalidInputError: there are not seven, or the quaternion is no rotation.
    """
    if len(numbers) != 7:
        raise InvalidInputError(f"a transform has seven numbers, got {len(numbers)}")
    matrix = np.eye(4)
    matrix[:3, :3] = matrix_from_quaternion(*numbers[3:])
    matrix[:3, 3] = numbers[:3]
    return matrix

"""Where people walk: closed routes on the floor, from key poses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_perception.simulation.kinematics import FloatArray

_STEP_S = 0.01
# Nobody starts, stops or turns at once.
_SMOOTHING_S = 0.16
_SHORTEST_REST_S = 0.5
_ARC_KEYS = 9


class Route:
    """Place and heading of a body during a loop.

    A pose is (x, y, heading): metres in the room, and the angle in radians about the vertical that takes someone who
    faces the camera (negative y) to their heading. Between key poses the way is straight, smoothed over a moment.

    Args:
        times_s: Times of the K key poses, from 0 to the length of the loop.
        poses: With shape (K, 3). The last one is the first one, but for whole turns of the heading.
        start_s: Time on the route at the beginning of the loop.
    """

    def __init__(
        self, times_s: Sequence[float] | FloatArray, poses: Sequence[Sequence[float]] | FloatArray, start_s: float = 0.0
    ) -> None:
        from scipy.ndimage import gaussian_filter1d

        times, keys = np.asarray(times_s, float), np.asarray(poses, float)
        self.duration_s = float(times[-1])
        self.start_s = start_s
        self._times, self._moves = times, np.abs(np.diff(keys, axis=0)).max(axis=1) > 1e-6
        self._turns = np.array([0.0, 0.0, keys[-1, 2] - keys[0, 2]])
        count = max(2, round(self.duration_s / _STEP_S))
        self._grid = np.arange(count + 1) * self.duration_s / count
        along = np.stack([np.interp(self._grid, times, keys[:, i]) for i in range(3)], axis=1)
        # Whole turns are taken out while the loop is smoothed across its ends.
        drift = self._grid[:, None] / self.duration_s * self._turns
        level = gaussian_filter1d((along - drift)[:-1], _SMOOTHING_S / self._grid[1], axis=0, mode="wrap")
        self._poses = np.concatenate([level, level[:1]]) + drift

    def at(self, time_s: float) -> FloatArray:
        """Pose (3,) at any time on the route; the heading keeps growing from loop to loop if the route turns."""
        loops, rest = divmod(time_s, self.duration_s)
        return np.array([np.interp(rest, self._grid, self._poses[:, i]) for i in range(3)]) + loops * self._turns

    @property
    def speed_m_s(self) -> float:
        """The highest speed on the route."""
        return float(np.linalg.norm(np.diff(self._poses[:, :2], axis=0), axis=1).max() / self._grid[1])

    def walks(self) -> list[tuple[float, float]]:
        """Intervals of the loop in which the body moves, seconds; one over the whole loop if it never rests.

        A rest that is shorter than some steps is none: the feet go on stepping.
        """
        intervals: list[tuple[float, float]] = []
        for start, end, moves in zip(self._times[:-1], self._times[1:], self._moves, strict=True):
            if moves and intervals and start - intervals[-1][1] < _SHORTEST_REST_S:
                intervals[-1] = (intervals[-1][0], end)
            elif moves:
                intervals.append((start, end))
        return intervals


def to_and_fro(
    start: FloatArray, end: FloatArray, side_m: float, laps: int, duration_s: float, turn_s: float, phase: float
) -> Route:
    """Walk between two places over and over, there on one lane and back on another one beside it.

    Args:
        start: First end of the way with shape (2,), metres.
        end: Second end with shape (2,).
        side_m: Half the distance of the two lanes; its sign says whether the turns go left or right.
        laps: How often there and back during the loop.
        duration_s: Length of the loop.
        turn_s: Time for turning round at an end.
        phase: Share of a lap that has passed at the beginning.
    """
    along = (end - start) / np.linalg.norm(end - start)
    aside = side_m * np.array([-along[1], along[0]])
    heading = heading_rad(along)
    # One lap from the middle of the first straight line: its ends do not fall into a turn.
    arc = np.linspace(-np.pi / 2, np.pi / 2, _ARC_KEYS) * np.sign(side_m)
    radius = abs(side_m)

    def turn(center: FloatArray, forward: FloatArray, offset: float) -> list[list[float]]:
        left = np.array([-forward[1], forward[0]])
        return [[*(center + radius * (np.cos(a) * forward + np.sin(a) * left)), offset + a + arc[-1]] for a in arc]

    keys = [*turn(end, along, heading), *turn(start, -along, heading + 2 * arc[-1])]
    straight_s = (duration_s / laps - 2 * turn_s) / 2
    turning = np.linspace(0, turn_s, _ARC_KEYS)
    times = np.concatenate([straight_s / 2 + turning, 1.5 * straight_s + turn_s + turning])
    first = [*((start + end) / 2 - aside), heading]
    lap = np.array([first, *keys])
    turns = np.array([0.0, 0.0, 4 * arc[-1]])
    lap_times = np.concatenate([[0.0], times])
    poses = [lap + i * turns for i in range(laps)]
    all_times = np.concatenate([lap_times + i * duration_s / laps for i in range(laps)])
    closed = np.concatenate([*poses, [lap[0] + laps * turns]])
    return Route(np.append(all_times, duration_s), closed, phase * duration_s / laps)


def heading_rad(direction: FloatArray) -> float:
    """Heading of someone who walks in a direction (2,)."""
    return float(np.arctan2(direction[0], -direction[1]))

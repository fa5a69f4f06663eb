"""Walking along a route: where the feet stand, how they roll and swing, and how the body goes along.

A stance takes 60 % of a stride and a swing 40 %; the foot strikes with the heel and leaves with the ball (Perry and
Burnfield, Gait Analysis, chapters 1 and 3). A planted foot does not move on the floor.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from pose_perception.simulation.kinematics import FloatArray, minimum_jerk
from pose_perception.simulation.landmarks import SIDES
from pose_perception.simulation.legs import FootPose
from pose_perception.simulation.routes import Route

# Length of a stride and bounds of its time, from one strike of a foot to the next.
_STRIDE_M, _STRIDE_S = 1.05, (0.95, 1.2)
_SWING_SHARE = 0.4
# Share of a stride after a strike at which a foot stands under the body.
_MIDSTANCE = 0.3
# When somebody stops, the last strike comes this share of a stride later, and the first one this share after a start.
_LAST_STRIKE, _FIRST_STRIKE = 0.2, 0.35
# Shares of a stride in which the foot rolls down after a strike, and off before it leaves.
_LANDING, _PUSHING = 0.1, 0.28
# Stride at which the angles below are reached; shorter ones roll less.
_FULL_STRIDE_M = 1.1
_STRIKE_RAD, _PUSH_RAD, _FOLDED_RAD = np.deg2rad((16.0, 38.0, 18.0))
_CLEARANCE_M, _STEPPING_M = 0.03, 0.035
# Who walks puts the feet closer together than who stands.
_NARROW_M = 0.05
# Time to either side over which speed is measured.
_MOMENT_S = 0.1


class Stride(NamedTuple):
    """One moment of walking.

    Attributes:
        place: Place and heading of the body as in `Route`, shape (3,).
        feet: Left and right.
        ahead_m: By how much the left foot is ahead of the right one.
        speed_m_s: Of the body.
    """

    place: FloatArray
    feet: dict[str, FootPose]
    ahead_m: float
    speed_m_s: float


class _Footstep(NamedTuple):
    """A foot that stands from `strike_s` to `lift_s`, where the body has this place (3,) while it stands on it."""

    strike_s: float
    lift_s: float
    stride_s: float
    place: FloatArray
    narrow_m: float


class Walk:
    """Footsteps of somebody along a route.

    Args:
        route: The way.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._steps = {side: self._wrapped(steps) for side, steps in self._plan().items()}
        self._strikes = {side: [step.strike_s for step in steps] for side, steps in self._steps.items()}

    def at(self, time_s: float) -> Stride:
        """Feet and body at a time of the loop."""
        time_s = (time_s + self._route.start_s) % self._route.duration_s
        body = self._route.at(time_s)
        feet = {side: self._foot(side, time_s, body) for side in SIDES}
        moved = self._route.at(time_s + _MOMENT_S) - self._route.at(time_s - _MOMENT_S)
        speed = float(np.linalg.norm(moved[:2])) / (2 * _MOMENT_S)
        return Stride(body, feet, float(feet["right"].shift[1] - feet["left"].shift[1]), speed)

    def _plan(self) -> dict[str, list[_Footstep]]:
        """Footsteps of one loop, in order."""
        duration, strikes = self._route.duration_s, []
        walks = self._route.walks()
        usual_s = float(np.clip(_STRIDE_M / max(self._route.speed_m_s, 0.1), *_STRIDE_S))
        if walks == [(0.0, duration)]:
            strides = max(1, round(duration / usual_s))
            stride_s = duration / strides
            strikes = [(i * stride_s / 2, stride_s, i % 2, False) for i in range(2 * strides)]
        for start, end in walks if not strikes else []:
            ends = _LAST_STRIKE - _FIRST_STRIKE
            count = max(2, round(2 * ((end - start) / usual_s + ends)) + 1)
            stride_s = (end - start) / (0.5 * (count - 1) - ends)
            first = start + _FIRST_STRIKE * stride_s
            strikes += [(first + 0.5 * i * stride_s, stride_s, i % 2, i >= count - 2) for i in range(count)]
        steps: dict[str, list[_Footstep]] = {}
        for foot, side in enumerate(SIDES):
            own = [strike for strike in strikes if strike[2] == foot]
            following = [*own[1:], (own[0][0] + duration, *own[0][1:])]
            steps[side] = [
                _Footstep(
                    strike_s=strike_s,
                    lift_s=next_s - _SWING_SHARE * next_stride_s,
                    stride_s=stride_s,
                    place=self._route.at(strike_s + _MIDSTANCE * stride_s),
                    narrow_m=0.0 if is_last else _NARROW_M,
                )
                for (strike_s, stride_s, _, is_last), (next_s, next_stride_s, _, _) in zip(own, following, strict=True)
            ]
        return steps

    def _wrapped(self, steps: list[_Footstep]) -> list[_Footstep]:
        """Put the last steps of the loop before its first ones, and the other way round."""
        duration = self._route.duration_s
        turns = self._route.at(duration) - self._route.at(0.0)

        def moved(step: _Footstep, loops: int) -> _Footstep:
            return step._replace(
                strike_s=step.strike_s + loops * duration,
                lift_s=step.lift_s + loops * duration,
                place=step.place + loops * turns,
            )

        return [*(moved(step, -1) for step in steps[-2:]), *steps, *(moved(step, 1) for step in steps[:2])]

    def _foot(self, side: str, time_s: float, body: FloatArray) -> FootPose:
        current = bisect_right(self._strikes[side], time_s) - 1
        before, step, after = (self._steps[side][i] for i in (max(0, current - 1), current, current + 1))
        push = _PUSH_RAD * _size(step, after)
        if time_s < step.lift_s:
            landed = min(1.0, (time_s - step.strike_s) / (_LANDING * step.stride_s))
            left = (time_s - step.lift_s) / (_PUSHING * after.stride_s) + 1
            strike = _STRIKE_RAD * _size(before, step) * (1 - minimum_jerk(landed))
            pitch = strike - push * max(0.0, left) ** 2
            # The toes stay on the floor while the heel rises.
            return _foot_pose(step.place, body, step.narrow_m, 0.0, pitch, max(0.0, pitch))
        progress = (time_s - step.lift_s) / (after.strike_s - step.lift_s)
        moved = minimum_jerk(progress)
        size = _size(step, after)
        lift = (_CLEARANCE_M * size + _STEPPING_M * (1 - size)) * np.sin(np.pi * progress) ** 2
        folded = _FOLDED_RAD * size * np.sin(np.pi * min(1.0, progress / 0.5)) ** 2
        pitch = -(push * (1 - minimum_jerk(progress / 0.8)) + folded)
        pitch += _STRIKE_RAD * size * minimum_jerk((progress - 0.5) / 0.5)
        place = step.place + moved * (after.place - step.place)
        narrow = step.narrow_m + moved * (after.narrow_m - step.narrow_m)
        return _foot_pose(place, body, narrow, float(lift), float(pitch), float(pitch * minimum_jerk(progress / 0.35)))


def _size(step: _Footstep, following: _Footstep) -> float:
    """Length of the stride between two footsteps, 0 to 1."""
    return min(1.0, float(np.linalg.norm((following.place - step.place)[:2])) / _FULL_STRIDE_M)


def _foot_pose(
    place: FloatArray, body: FloatArray, narrow_m: float, lift_m: float, pitch_rad: float, toes_rad: float
) -> FootPose:
    """Express where a foot stands in the frame of the body above it."""
    sine, cosine = np.sin(body[2]), np.cos(body[2])
    x, y, yaw = place - body
    return FootPose(
        shift=np.array([cosine * x + sine * y, -sine * x + cosine * y]),
        yaw_rad=float(yaw),
        narrow_m=narrow_m,
        lift_m=lift_m,
        pitch_rad=pitch_rad,
        toes_rad=toes_rad,
    )

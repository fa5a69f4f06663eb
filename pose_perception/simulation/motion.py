"""Natural motion of the arms: gestures strung together into a loop, on a body that sways.

The hand follows minimum-jerk paths between key poses, as human reaching does (Flash and Hogan 1985), at about the
speed of unhurried people; the elbow follows from inverse kinematics with a direction that people prefer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_perception.simulation.kinematics import FloatArray, minimum_jerk
from pose_perception.simulation.posing import ArmPose, Pose

GESTURES = ("wave", "point", "reach")
# Key poses of one arm: wrist, elbow's direction and palm (outward, forward, up; see `ArmPose`), pointing hand, and by
# how much the wrist may differ from one performance to the next.
_KEYS = {
    "hang": ((0.13, 0.12, -0.94), (0.45, -1.0, 0.0), (-1.0, 0.1, 0.0), 0.0, 0.02),
    "lap": ((-0.02, 0.52, -0.62), (0.80, -0.6, -0.5), (-0.2, 0.0, -1.0), 0.0, 0.02),
    "wave": ((0.40, 0.30, 0.25), (0.40, -0.30, -1.0), (0.0, 1.0, 0.0), -0.2, 0.05),
    "point": ((0.30, 0.82, 0.05), (0.50, -0.2, -1.0), (-0.3, 0.0, -1.0), 1.0, 0.22),
    "reach": ((0.08, 0.66, -0.22), (0.50, -0.4, -1.0), (-0.8, 0.0, -0.6), 0.0, 0.18),
}
_SECONDS_PER_GESTURE = 4.0
# Below this time for a gesture its reach shrinks, so that short loops do not jerk.
_HURRY_S = 2.6
_RAISE_SHARE, _LOWER_SHARE = 0.3, 0.3
# Hands do not rise in a straight line: they go around the hips and the belly.
_DETOUR = (0.10, 0.08, 0.0)
_POINTING_STRETCH = 0.94
_WAVE_HZ = 1.4
_WAVE_AMPLITUDE = (0.17, 0.0, 0.02)
# The arm that waves all the time does so at about this rate: with whole waves in a loop.
_WAVING_HZ = 1.5
# Lower than a greeting, so that a camera near by still sees the fingers.
_WAVING_LOWER = 0.15
# Amplitudes of quiet standing and looking around.
_SWAY_M = (0.015, 0.010)
_TRUNK_RAD = np.deg2rad((2.0, 1.5, 5.0))
_HEAD_RAD = np.deg2rad((5.0, 3.0, 12.0))


@dataclass(frozen=True)
class _Gesture:
    """One gesture of one arm: 12 numbers per key (wrist, pole, palm, curl), from `start_s` for `length_s`."""

    name: str
    start_s: float
    length_s: float
    key: FloatArray


class Motion:
    """What one person does during a loop.

    Args:
        rng: Source of the choices.
        duration_s: Length of the loop; the motion at this time equals that at 0.
        kind: One of `GESTURES`, `mixed` for all of them, `waving` for one arm that waves without a pause, `rest`
            for arms that hang, or `still` for no motion at all.
        resting: Where arms are that do nothing: `hang`, or `lap` for somebody who sits.
    """

    def __init__(self, rng: np.random.Generator, duration_s: float, kind: str, resting: str = "hang") -> None:
        self._duration_s = duration_s
        self._still = kind == "still"
        names = GESTURES if kind == "mixed" else (kind,)
        self._hang = {side: _key(resting, rng) for side in ("left", "right")}
        rests = kind in ("still", "rest", "waving")
        self._gestures = {side: [] if rests else self._plan(rng, names, side) for side in ("left", "right")}
        self._waving, self._waving_hz = "", max(1, round(_WAVING_HZ * duration_s)) / duration_s
        if kind == "waving":
            self._waving = str(rng.choice(("left", "right")))
            self._hang[self._waving] = _key("wave", rng) - np.eye(10)[2] * _WAVING_LOWER
        # Two harmonics of the loop for each of eight small motions: whole cycles, so that the loop closes.
        cycles = np.maximum(1, np.round(duration_s * rng.uniform(0.12, 0.35, (8, 2))))
        self._frequencies = 2 * np.pi * cycles / duration_s
        self._phases = rng.uniform(0, 2 * np.pi, (8, 2))

    def at(self, time_s: float) -> Pose:
        """Pose at a time of the loop."""
        waves = 0.5 * np.sin(self._frequencies * time_s + self._phases).sum(axis=1) * (0 if self._still else 1)
        arms = {side: self._arm(side, time_s) for side in self._hang}
        return Pose(waves[:2] * _SWAY_M, waves[2:5] * _TRUNK_RAD, waves[5:8] * _HEAD_RAD, arms)

    def _plan(self, rng: np.random.Generator, names: tuple[str, ...], side: str) -> list[_Gesture]:
        """Fill the loop with gestures; the arms take turns, with some overlap, as people's do."""
        count = max(1, round(self._duration_s / _SECONDS_PER_GESTURE))
        slot = self._duration_s / count
        order = rng.permutation(np.resize(rng.permutation(names), count))
        gestures = []
        for i, name in enumerate(order):
            length = slot * rng.uniform(0.8, 0.95)
            # One arm in three rests during a slot; the first gesture of the left arm always happens.
            if i + (side == "right") > 0 and rng.random() < 0.33:
                continue
            start = i * slot + rng.uniform(0, slot - length)
            effort = min(1.0, slot / _HURRY_S)
            hang = self._hang[side]
            gestures.append(_Gesture(str(name), start, length, hang + effort * (_key(str(name), rng) - hang)))
        return gestures

    def _arm(self, side: str, time_s: float) -> ArmPose:
        state = self._hang[side].copy()
        if side == self._waving:
            state[:3] += np.sin(2 * np.pi * self._waving_hz * time_s) * np.array(_WAVE_AMPLITUDE)
        for gesture in self._gestures[side]:
            progress = (time_s - gesture.start_s) / gesture.length_s
            if not 0 < progress < 1:
                continue
            raised = minimum_jerk(progress / _RAISE_SHARE) * minimum_jerk((1 - progress) / _LOWER_SHARE)
            state += raised * (gesture.key - self._hang[side])
            state[:3] += 4 * raised * (1 - raised) * np.array(_DETOUR)
            if gesture.name == "wave":
                held = minimum_jerk((progress - 0.6 * _RAISE_SHARE) / 0.2) * raised**2
                phase = 2 * np.pi * _WAVE_HZ * (time_s - gesture.start_s)
                state[:3] += held * np.sin(phase) * np.array(_WAVE_AMPLITUDE)
        return ArmPose(state[0:3], state[3:6], state[6:9], float(state[9]))


def _key(name: str, rng: np.random.Generator) -> FloatArray:
    wrist, pole, palm, curl, spread = _KEYS[name]
    varied = np.array(wrist) + rng.uniform(-spread, spread, 3)
    # No hand goes behind the body, or through it; who points stretches the arm.
    varied[0] = max(varied[0], -0.05)
    if name == "point":
        varied *= _POINTING_STRETCH / np.linalg.norm(varied)
    return np.concatenate([varied, pole, palm, [curl]])

"""Measures on a running stream of skeletons: rate, latency, identities, joints, and the error where truth is known."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_perception.datatypes import FloatArray, KeypointState, Skeleton, TrackingState

_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
# People whose torsos are farther apart than this are not the same.
_SAME_PERSON_M = 0.7
# Who stands there within this time after somebody was lost is taken for them.
_GONE_NS = 2_000_000_000
_TRUTHS_KEPT = 100
# What is not simply counted is measured over the last so many results, 5 minutes at 15 Hz, and people.
_RESULTS_KEPT = 4500
_ARMS_KEPT = 4 * _RESULTS_KEPT
_IDS_KEPT = 1000
_MIN_ARM_SAMPLES = 10


@dataclass(frozen=True)
class StreamSummary:
    """What was measured; NaN where there was nothing to measure.

    Counts cover everything; rate, latency, errors and arm lengths cover the last 4500 results.

    Attributes:
        frames: Results.
        rate_hz: Results per second of arrival.
        latency_ms: Median and 95th percentile of arrival minus image stamp, milliseconds.
        people: Number of results by the number of people seen in them.
        identities: Number of different ids.
        id_changes: How often a person went on under another id.
        joints: Share of the keypoints of all people by state.
        error_mm: Median and 95th percentile of the distance between measured joints and truth, millimetres.
        arm_variation: Standard deviation over mean of the measured upper arm length, by id and side.
    """

    frames: int
    rate_hz: float
    latency_ms: tuple[float, float]
    people: dict[int, int]
    identities: int
    id_changes: int
    joints: dict[str, float]
    error_mm: tuple[float, float]
    arm_variation: dict[str, float]


class StreamStatistics:
    """Collects results one by one, in constant memory."""

    def __init__(self) -> None:
        self._frames = 0
        self._received_ns: deque[int] = deque(maxlen=_RESULTS_KEPT)
        self._latencies_ns: deque[int] = deque(maxlen=_RESULTS_KEPT)
        self._people: Counter[int] = Counter()
        self._states: Counter[int] = Counter()
        self._errors_m: deque[FloatArray] = deque(maxlen=_RESULTS_KEPT)
        self._arms_m: deque[tuple[str, float]] = deque(maxlen=_ARMS_KEPT)
        self._truths: OrderedDict[int, dict[str, dict[str, FloatArray]]] = OrderedDict()
        self._last_ids: dict[str, str] = {}
        self._places: dict[str, tuple[int, FloatArray]] = {}
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._identities = 0
        self._id_changes = 0

    def add_truth(self, stamp_ns: int, people: Sequence[Skeleton], names: Sequence[str]) -> None:
        """Note where people really are; must come before the result with this stamp."""
        self._truths[stamp_ns] = {person.id: dict(zip(names, person.positions, strict=True)) for person in people}
        if len(self._truths) > _TRUTHS_KEPT:
            self._truths.popitem(last=False)

    def add(self, stamp_ns: int, received_ns: int, people: Sequence[Skeleton], names: Sequence[str]) -> None:
        """Note one result.

        Args:
            stamp_ns: Stamp of its image, nanoseconds.
            received_ns: When it arrived, on the same clock.
            people: The people in it; those who are only predicted or lost do not count as seen.
            names: Names of their keypoints.
        """
        seen = [person for person in people if person.tracking_state == TrackingState.TRACKED]
        self._frames += 1
        self._received_ns.append(received_ns)
        self._latencies_ns.append(received_ns - stamp_ns)
        self._people[len(seen)] += 1
        self._count_identities(seen)
        for person in seen:
            self._states.update(int(state) for state in person.states)
            self._add_arms(person, list(names))
        torsos = {person.id: _torso(_known(person, names)) for person in seen}
        truth = self._truths.get(stamp_ns)
        if truth is None:
            self._follow(received_ns, torsos)
        else:
            self._compare(truth, {person.id: person for person in seen}, torsos, names)

    def summary(self) -> StreamSummary:
        """Return the measures so far."""
        count, states = len(self._received_ns), max(1, sum(self._states.values()))
        elapsed_s = (self._received_ns[-1] - self._received_ns[0]) * 1e-9 if count > 1 else 0.0
        errors = np.concatenate(self._errors_m) * 1e3 if self._errors_m else np.empty(0)
        return StreamSummary(
            frames=self._frames,
            rate_hz=(count - 1) / elapsed_s if elapsed_s > 0 else float("nan"),
            latency_ms=_percentiles(np.array(self._latencies_ns) * 1e-6),
            people=dict(sorted(self._people.items())),
            identities=self._identities,
            id_changes=self._id_changes,
            joints={state.name.lower(): self._states[state] / states for state in reversed(KeypointState)},
            error_mm=_percentiles(errors),
            arm_variation=self._arm_variation(),
        )

    def _count_identities(self, people: Sequence[Skeleton]) -> None:
        for person in people:
            self._identities += person.id not in self._ids
            self._ids[person.id] = None
            self._ids.move_to_end(person.id)
            if len(self._ids) > _IDS_KEPT:
                self._ids.popitem(last=False)

    def _add_arms(self, person: Skeleton, names: list[str]) -> None:
        for side in ("left", "right"):
            ends = [names.index(f"{side}_{joint}") for joint in ("shoulder", "elbow")]
            if np.all(person.states[ends] == KeypointState.MEASURED):
                shoulder, elbow = person.positions[ends]
                self._arms_m.append((f"{person.id} {side}", float(np.linalg.norm(shoulder - elbow))))

    def _arm_variation(self) -> dict[str, float]:
        by_arm: defaultdict[str, list[float]] = defaultdict(list)
        for name, length_m in self._arms_m:
            by_arm[name].append(length_m)
        arms = {name: np.array(lengths) for name, lengths in by_arm.items() if len(lengths) >= _MIN_ARM_SAMPLES}
        return {name: float(lengths.std() / lengths.mean()) for name, lengths in sorted(arms.items())}

    def _follow(self, now_ns: int, torsos: dict[str, FloatArray]) -> None:
        """Count who stands where somebody else stood shortly before."""
        places = {name: place for name, (time_ns, place) in self._places.items() if now_ns - time_ns < _GONE_NS}
        changed = {old for old, new in _match(places, torsos).items() if old != new}
        self._id_changes += len(changed)
        self._places = {name: place for name, place in self._places.items() if name not in changed}
        self._places.update({name: (now_ns, torso) for name, torso in torsos.items()})

    def _compare(
        self,
        truth: dict[str, dict[str, FloatArray]],
        people: dict[str, Skeleton],
        torsos: dict[str, FloatArray],
        names: Sequence[str],
    ) -> None:
        """Measure errors, and count who goes on under another id."""
        for person_id, found_id in _match({name: _torso(joints) for name, joints in truth.items()}, torsos).items():
            self._id_changes += self._last_ids.get(person_id, found_id) != found_id
            self._last_ids[person_id] = found_id
            person, joints = people[found_id], truth[person_id]
            measured = [
                position - joints[name]
                for name, position, state in zip(names, person.positions, person.states, strict=True)
                if state == KeypointState.MEASURED and name in joints
            ]
            if measured:
                self._errors_m.append(np.linalg.norm(measured, axis=1))


def _known(person: Skeleton, names: Sequence[str]) -> dict[str, FloatArray]:
    known = person.states != KeypointState.MISSING
    return {name: position for name, position, is_known in zip(names, person.positions, known, strict=True) if is_known}


def _torso(joints: dict[str, FloatArray]) -> FloatArray:
    """Return the middle of the torso, shape (3,); NaN when no joint of it is known."""
    points = [joints[name] for name in _TORSO if name in joints]
    return np.mean(points, axis=0) if points else np.full(3, np.nan)


def _match(before: dict[str, FloatArray], now: dict[str, FloatArray]) -> dict[str, str]:
    """Pair points, nearest first, each at most once."""
    distances = sorted((float(np.linalg.norm(a - b)), i, j) for i, a in before.items() for j, b in now.items())
    pairs: dict[str, str] = {}
    for distance, i, j in distances:
        # Comparisons with NaN are false.
        if distance < _SAME_PERSON_M and i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def _percentiles(values: FloatArray) -> tuple[float, float]:
    if len(values) == 0:
        return float("nan"), float("nan")
    median, high = np.percentile(values, [50, 95])
    return float(median), float(high)

"""Tests for ros/synchronizer.py."""

from __future__ import annotations

import numpy as np

from pose_perception.ros.synchronizer import BACKWARD_STAMP, REPEATED_STAMP, StampSynchronizer

MS = 1_000_000


class Pairing:
    """A synchronizer of colour and depth with a slop of 20 ms, and what it reported."""

    def __init__(self, capacity: int = 10) -> None:
        self.reasons: list[str] = []
        report = lambda reason, detail: self.reasons.append(reason)  # noqa: E731
        self.notes: list[str] = []
        note = lambda name, detail: self.notes.append(name)  # noqa: E731
        self._synchronizer = StampSynchronizer(("colour", "depth"), 20 * MS, capacity, report, note)

    def add(self, stream: str, *stamps_ms: int) -> list[tuple[int, int]]:
        """Add images whose content is their stamp; return the pairs that came out."""
        pairs = [self._synchronizer.add(stream, stamp * MS, stamp) for stamp in stamps_ms]
        return [pair for pair in pairs if pair is not None]


def test_same_stamps_pair_in_either_order() -> None:
    pairing = Pairing()
    assert pairing.add("colour", 100) == []
    assert pairing.add("depth", 100) == [(100, 100)]
    assert pairing.add("depth", 133) == []
    assert pairing.add("colour", 133) == [(133, 133)]
    assert pairing.reasons == []


def test_late_stream_pairs_with_what_waited() -> None:
    pairing = Pairing()
    pairing.add("colour", 0, 33, 66)
    assert pairing.add("depth", 2, 35, 68) == [(0, 2), (33, 35), (66, 68)]
    assert pairing.reasons == []


def test_nearest_partner_wins_and_the_others_are_counted() -> None:
    pairing = Pairing()
    pairing.add("depth", 90, 99, 110)
    assert pairing.add("colour", 100) == [(100, 99)]
    assert pairing.reasons == ["depth without colour"]


def test_images_too_far_apart_never_pair() -> None:
    pairing = Pairing()
    pairing.add("colour", 0, 100, 200)
    assert pairing.add("depth", 50, 150, 250) == []
    assert pairing.reasons.count("colour without depth") == 3


def test_waiting_images_are_bounded() -> None:
    pairing = Pairing(capacity=3)
    pairing.add("colour", *range(0, 1000, 33))
    assert pairing.reasons == ["colour without depth"] * (len(range(0, 1000, 33)) - 3)


def test_repeated_stamp_is_dropped() -> None:
    pairing = Pairing()
    pairing.add("colour", 100, 100)
    assert pairing.add("depth", 100, 100) == [(100, 100)]
    assert pairing.reasons == [REPEATED_STAMP, REPEATED_STAMP]


def test_looped_recording_goes_on_pairing() -> None:
    pairing = Pairing()
    for _ in range(2):
        for stamp in (0, 33, 66, 99):
            pairing.add("colour", stamp)
            assert pairing.add("depth", stamp) == [(stamp, stamp)]
    assert pairing.reasons == []
    assert pairing.notes == [BACKWARD_STAMP, BACKWARD_STAMP]


def test_images_that_waited_before_a_jump_back_are_dropped_and_the_one_that_jumps_is_used() -> None:
    pairing = Pairing()
    pairing.add("colour", 1000, 1033, 0)
    assert pairing.reasons == ["colour without depth"] * 2
    assert pairing.notes == [BACKWARD_STAMP]
    assert pairing.add("depth", 0, 1000) == [(0, 0)]


def test_no_pair_is_lost_when_streams_start_apart_and_jitter() -> None:
    rng = np.random.default_rng(0)
    stamps = np.arange(0, 3000, 33)
    events = [("colour", int(stamp)) for stamp in stamps] + [
        ("depth", int(stamp + rng.integers(-5, 6))) for stamp in stamps[2:]
    ]
    # Depth arrives 40 ms late, as from a camera that computes it.
    events.sort(key=lambda event: event[1] + (40 if event[0] == "depth" else 0))
    pairing = Pairing()
    pairs = [pair for stream, stamp in events for pair in pairing.add(stream, stamp)]
    assert [color for color, _ in pairs] == stamps[2:].tolist()
    assert all(abs(color - depth) <= 5 for color, depth in pairs)

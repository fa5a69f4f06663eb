"""Tests for evaluation/images.py."""

from __future__ import annotations

import pickle

from pose_perception.evaluation.images import ImageCounts


def test_images_without_a_result_are_replaced_dropped_or_lost() -> None:
    counts = ImageCounts()
    for stamp in range(10):
        counts.add_sent(stamp)
        if stamp in (2, 3, 5, 8):
            counts.add_result(stamp)
    fates = counts.fates(replaced=1, dropped=1, everything=False)
    assert fates == {"sent": 7, "processed": 4, "replaced by a newer one": 1, "dropped": 1, "lost on the way": 1}
    assert counts.fates(replaced=1, dropped=1, everything=True)["sent"] == 10


def test_a_result_may_overtake_what_the_camera_says_of_its_image() -> None:
    counts = ImageCounts()
    counts.add_result(1)
    for stamp in (1, 2, 2, 3):
        counts.add_sent(stamp)
    counts.add_result(3)
    assert counts.fates(replaced=1, dropped=0, everything=False)["sent"] == 3
    assert counts.fates(replaced=1, dropped=0, everything=False)["lost on the way"] == 0


def test_endless_runs_are_counted_in_constant_memory() -> None:
    counts, sizes = ImageCounts(), []
    for stamp in range(10_000):
        counts.add_sent(stamp)
        if stamp >= 100 and stamp % 2:
            counts.add_result(stamp)
        if stamp in (999, 9_999):
            sizes.append(len(pickle.dumps(counts)))
    assert sizes[1] < 1.1 * sizes[0]
    fates = counts.fates(replaced=4_949, dropped=0, everything=False)
    assert (fates["sent"], fates["processed"], fates["lost on the way"]) == (9_899, 4_950, 0)


def test_without_a_result_nothing_is_said_about_the_way() -> None:
    counts = ImageCounts()
    counts.add_sent(1)
    assert counts.fates(replaced=0, dropped=0, everything=True) == {"sent": 1, "processed": 0}

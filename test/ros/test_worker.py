"""Tests for ros/worker.py."""

from __future__ import annotations

import threading

from rclpy.logging import get_logger

from pose_perception.ros.counters import Counters
from pose_perception.ros.worker import LatestWorker


def test_every_item_is_processed_when_work_is_fast_enough() -> None:
    done: list[int] = []
    ready = threading.Semaphore(0)

    def work(item: int) -> None:
        done.append(item)
        ready.release()

    counters = Counters(get_logger("worker_test"))
    worker = LatestWorker(work, counters)
    for i in range(20):
        worker.submit(i)
        assert ready.acquire(timeout=5)
    assert worker.stop()
    assert done == list(range(20))
    assert counters.counts() == {}


def test_only_the_latest_of_the_waiting_items_is_processed() -> None:
    started, go_on = threading.Event(), threading.Event()
    done: list[int] = []
    finished = threading.Event()

    def work(item: int) -> None:
        started.set()
        assert go_on.wait(5)
        done.append(item)
        if item == 4:
            finished.set()

    counters = Counters(get_logger("worker_test"))
    worker = LatestWorker(work, counters)
    worker.submit(0)
    assert started.wait(5)
    for i in range(1, 5):
        worker.submit(i)
    go_on.set()
    assert finished.wait(5)
    assert worker.stop()
    assert done == [0, 4]
    assert counters.counts() == {"replaced by a newer image": 3}


def test_exception_is_counted_and_the_next_item_processed() -> None:
    processed = threading.Event()

    def work(item: int) -> None:
        processed.set()
        if item == 0:
            raise ValueError("no good")

    counters = Counters(get_logger("worker_test"))
    worker = LatestWorker(work, counters)
    for item in (0, 1):
        processed.clear()
        worker.submit(item)
        assert processed.wait(5)
    assert worker.stop()
    assert counters.counts() == {"processing failed": 1}


def test_stop_drops_what_waits_and_reports_a_thread_that_hangs() -> None:
    started, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        started.set()
        assert go_on.wait(10)
        done.append(item)

    worker = LatestWorker(work, Counters(get_logger("worker_test")))
    worker.submit(0)
    assert started.wait(5)
    worker.submit(1)
    assert not worker.stop(timeout_s=0.05)
    go_on.set()
    assert worker.stop(timeout_s=5)
    assert done == [0]

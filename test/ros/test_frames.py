"""Tests for ros/frames.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rclpy.logging import get_logger
from sensor_msgs.msg import CameraInfo, Image

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.ros import conversions
from pose_perception.ros.counters import Counters
from pose_perception.ros.frames import FrameBuilder, RgbdMessages

COLOR_CAMERA = CameraIntrinsics(160, 120, 150.0, 150.0, 79.5, 59.5)
DEPTH_CAMERA = CameraIntrinsics(80, 60, 70.0, 70.0, 39.5, 29.5)
COLOR_HEADER = conversions.header_message(5_000_000_000, "color_frame")
DEPTH_HEADER = conversions.header_message(5_000_000_000, "depth_frame")


class Builder:
    """A frame builder with a TF that knows one transform, or none."""

    def __init__(self, transform: FloatArray | None = None, fixed: FloatArray | None = None) -> None:
        self.counters = Counters(get_logger("frames_test"))
        self.asked: list[tuple[str, str]] = []
        self._transform = transform
        self._builder = FrameBuilder(self.counters, get_logger("frames_test"), self._lookup, fixed)
        self.build = self._builder.build

    def _lookup(self, target: str, source: str) -> FloatArray | None:
        self.asked.append((target, source))
        return self._transform


def messages(**changes: Any) -> RgbdMessages:
    color = conversions.color_message(np.full((120, 160, 3), 7, np.uint8), COLOR_HEADER)
    depth = conversions.depth_message(np.full((120, 160), 1500, np.uint16), COLOR_HEADER)
    values = {
        "color": color,
        "depth": depth,
        "color_info": conversions.camera_info_message(COLOR_CAMERA, COLOR_HEADER),
        "depth_info": None,
    }
    return RgbdMessages(**{**values, **changes})


def shift() -> FloatArray:
    """The depth camera stands 0.1 m in front of the colour camera."""
    color_from_depth = np.eye(4)
    color_from_depth[2, 3] = 0.1
    return color_from_depth


def unregistered() -> dict[str, Any]:
    return {
        "depth": conversions.depth_message(np.full((60, 80), 2000, np.uint16), DEPTH_HEADER),
        "depth_info": conversions.camera_info_message(DEPTH_CAMERA, DEPTH_HEADER),
    }


def test_registered_messages_become_a_frame() -> None:
    builder = Builder()
    frame = builder.build(messages())
    assert (frame.camera, frame.stamp_ns, frame.frame_id) == (COLOR_CAMERA, 5_000_000_000, "color_frame")
    np.testing.assert_allclose(frame.depth, 1.5, rtol=1e-6)
    assert (frame.color == 7).all()
    assert builder.counters.counts() == {}


def test_depth_can_be_absent() -> None:
    assert Builder().build(messages(depth=None)).depth is None


def same_camera(frame: str) -> dict[str, Any]:
    """Depth with the size and the calibration of colour in a frame of its own."""
    header = conversions.header_message(5_000_000_000, frame)
    return {
        "depth": conversions.depth_message(np.full((120, 160), 2000, np.uint16), header),
        "depth_info": conversions.camera_info_message(COLOR_CAMERA, header),
    }


def test_depth_with_calibration_and_frame_of_colour_is_taken_as_it_is() -> None:
    builder = Builder(shift())
    np.testing.assert_allclose(builder.build(messages(**same_camera("color_frame"))).depth, 2.0, rtol=1e-6)
    assert builder.asked == []


@pytest.mark.parametrize("source", ["lookup", "parameter"])
def test_equal_calibration_does_not_hide_a_baseline(source: str) -> None:
    builder = Builder(shift()) if source == "lookup" else Builder(fixed=shift())
    frame = builder.build(messages(**same_camera("depth_frame")))
    np.testing.assert_allclose(np.nanmedian(frame.depth), 2.1, atol=1e-3)
    assert builder.asked == ([("color_frame", "depth_frame")] if source == "lookup" else [])


@pytest.mark.parametrize("frame", ["depth_frame", ""])
def test_unknown_frame_of_depth_with_the_calibration_of_colour_is_accepted_with_one_warning(
    frame: str, capfd: pytest.CaptureFixture[str]
) -> None:
    builder = Builder()
    for _ in range(2):
        np.testing.assert_allclose(builder.build(messages(**same_camera(frame))).depth, 2.0, rtol=1e-6)
    assert builder.counters.counts() == {}
    log = capfd.readouterr().err
    assert log.count("taken as registered") == 1
    assert f"{frame!r} instead of 'color_frame'" in log


@pytest.mark.parametrize("frame", ["color_frame", "", "unconnected_frame"])
@pytest.mark.parametrize("unit", ["16UC1", "32FC1"])
@pytest.mark.parametrize("centre", [39.5, 39.75])
def test_registered_depth_at_half_the_resolution_fills_the_image(frame: str, unit: str, centre: float) -> None:
    """Each depth pixel becomes four; the principal point may be scaled in either of two ways."""
    header = conversions.header_message(5_000_000_000, frame)
    half = CameraIntrinsics(80, 60, 75.0, 75.0, centre, centre - 10)
    depth_mm = np.arange(60 * 80).reshape(60, 80).astype(np.uint16) + 500
    depth = depth_mm if unit == "16UC1" else depth_mm.astype(np.float32) / 1000
    builder = Builder()
    built = builder.build(
        messages(
            depth=conversions.depth_message(depth, header), depth_info=conversions.camera_info_message(half, header)
        )
    )
    assert builder.counters.counts() == {}
    assert np.isfinite(built.depth[:-1, :-1]).all()
    expected = np.repeat(np.repeat(depth_mm / 1000, 2, axis=0), 2, axis=1)
    # By a pixel of colour at most, which is half a pixel of depth, the ways of scaling differ.
    assert np.nanmedian(np.abs(built.depth - expected)) <= 0.001 + 1e-6
    assert np.nanmax(np.abs(built.depth - expected)) <= 0.081 + 1e-6


def test_pose_of_the_camera_is_asked_for_the_stamp_of_the_image() -> None:
    asked: list[tuple[str, int]] = []

    def pose(frame: str, stamp_ns: int) -> FloatArray:
        asked.append((frame, stamp_ns))
        if len(asked) > 1:
            raise InvalidInputError("TF has no frame 'odom'")
        return shift()

    counters = Counters(get_logger("frames_test"))
    builder = FrameBuilder(counters, get_logger("frames_test"), lambda *_: None, None, pose)
    np.testing.assert_array_equal(builder.build(messages()).fixed_from_camera, shift())
    assert asked == [("color_frame", 5_000_000_000)]
    assert counters.counts() == {}
    frame = builder.build(messages())
    assert frame is not None
    assert frame.fixed_from_camera is None
    assert counters.counts() == {"camera pose unknown": 1}


@pytest.mark.parametrize(("scale", "unit"), [(1000, "millimetres"), (100, "centimetres")])
def test_extrinsics_in_another_unit_are_counted_and_named(
    scale: float, unit: str, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = np.eye(4)
    wrong[0, 3] = 0.025 * scale
    builder = Builder(wrong)
    assert builder.build(messages(**unregistered())) is None
    assert builder.counters.counts() == {"depth not registered": 1}
    assert f"seems to be in {unit}" in capfd.readouterr().err


@pytest.mark.parametrize("source", ["lookup", "parameter"])
def test_other_depth_camera_is_registered(source: str) -> None:
    builder = Builder(shift()) if source == "lookup" else Builder(fixed=shift())
    frame = builder.build(messages(**unregistered()))
    assert frame.depth.shape == (120, 160)
    np.testing.assert_allclose(np.nanmedian(frame.depth), 2.1, atol=1e-3)
    assert builder.asked == ([("color_frame", "depth_frame")] if source == "lookup" else [])


def test_calibration_of_an_earlier_depth_stream_is_forgotten_when_only_that_of_colour_fits() -> None:
    builder = Builder()
    frame = builder.build(messages(depth_info=unregistered()["depth_info"]))
    np.testing.assert_allclose(frame.depth, 1.5, rtol=1e-6)
    assert builder.counters.counts() == {}
    assert Builder(fixed=shift()).build(messages(depth_info=unregistered()["depth_info"])) is None


def test_other_depth_camera_without_a_transform_is_counted() -> None:
    builder = Builder()
    assert builder.build(messages(**unregistered())) is None
    assert builder.counters.counts() == {"depth not registered": 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"color": Image(height=120, width=160, encoding="yuv422", step=320)}, "colour image unusable"),
        ({"color": Image(height=120, width=160, encoding="rgb8", step=480)}, "colour image unusable"),
        ({"depth": Image(height=120, width=160, encoding="8UC1", step=160)}, "depth image unusable"),
        ({"depth": conversions.depth_message(np.zeros((120, 160), np.uint16), COLOR_HEADER)}, "depth image unusable"),
        (
            {"depth": conversions.depth_message(np.full((120, 160), np.nan, np.float32), COLOR_HEADER)},
            "depth image unusable",
        ),
        ({"color_info": CameraInfo(width=160, height=120)}, "colour camera_info unusable"),
        ({**unregistered(), "depth_info": CameraInfo(width=80, height=60)}, "depth camera_info unusable"),
        ({**unregistered(), "depth_info": None}, "depth not registered"),
        (
            {"color": conversions.color_message(np.zeros((60, 80, 3), np.uint8), COLOR_HEADER)},
            "sizes do not match",
        ),
    ],
    ids=["encoding", "no data", "depth encoding", "zero", "nan", "k", "depth k", "size", "colour size"],
)
def test_unusable_input_is_counted_by_reason(changes: dict[str, Any], reason: str) -> None:
    builder = Builder()
    assert builder.build(messages(**changes)) is None
    assert builder.counters.counts() == {reason: 1}
    assert builder.build(messages()) is not None

"""Tests for recording/images.py."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_perception.errors import InvalidInputError
from pose_perception.recording.images import read_color, read_depth_mm

_IMAGE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)


def _jpeg_with_orientation(orientation: int) -> bytes:
    """Return a JPEG whose EXIF block asks viewers to turn it (tag 0x0112 of TIFF 6.0)."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation, 0, 0])
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + b"\x00\x01" + entry + b"\x00\x00\x00\x00"
    exif = b"Exif\x00\x00" + tiff
    jpeg = cv2.imencode(".jpg", _IMAGE)[1].tobytes()
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


@pytest.mark.parametrize("orientation", [3, 6])  # upside down, on its side
def test_orientation_note_is_not_obeyed(tmp_path: Path, orientation: int) -> None:
    (tmp_path / "plain.jpg").write_bytes(_jpeg_with_orientation(1))
    (tmp_path / "turned.jpg").write_bytes(_jpeg_with_orientation(orientation))
    assert cv2.imread(str(tmp_path / "turned.jpg")).shape != _IMAGE.shape or orientation == 3  # viewers do turn it
    np.testing.assert_array_equal(read_color(tmp_path / "turned.jpg"), read_color(tmp_path / "plain.jpg"))


def test_format_is_told_by_the_content_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "png.jpg").write_bytes(cv2.imencode(".png", _IMAGE)[1].tobytes())
    np.testing.assert_array_equal(read_color(tmp_path / "png.jpg"), _IMAGE[..., ::-1])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_cut_file_is_refused(tmp_path: Path, suffix: str) -> None:
    content = cv2.imencode(suffix, _IMAGE)[1].tobytes()
    (tmp_path / f"cut{suffix}").write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInputError, match="half written"):
        read_color(tmp_path / f"cut{suffix}")


def test_header_of_a_gigantic_image_is_refused(tmp_path: Path) -> None:
    content = bytearray(cv2.imencode(".png", _IMAGE)[1].tobytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    (tmp_path / "huge.png").write_bytes(bytes(content))
    with pytest.raises(InvalidInputError, match=r"huge\.png"):
        read_color(tmp_path / "huge.png")


def test_depth_must_be_16_bit(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "d.png"), np.full((4, 5), 1234, np.uint16))
    cv2.imwrite(str(tmp_path / "c.png"), _IMAGE)
    assert (read_depth_mm(tmp_path / "d.png") == 1234).all()
    with pytest.raises(InvalidInputError, match="16-bit"):
        read_depth_mm(tmp_path / "c.png")

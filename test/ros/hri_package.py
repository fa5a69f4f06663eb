"""The part of hri_msgs that REP-155 needs for bodies, built from its message definitions where it is not installed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# github.com/ros4hri/hri_msgs, msg/.
_POINTS = (
    *("NOSE", "NECK", "RIGHT_SHOULDER", "RIGHT_ELBOW", "RIGHT_WRIST", "LEFT_SHOULDER", "LEFT_ELBOW", "LEFT_WRIST"),
    *("RIGHT_HIP", "RIGHT_KNEE", "RIGHT_ANKLE", "LEFT_HIP", "LEFT_KNEE", "LEFT_ANKLE"),
    *("LEFT_EYE", "RIGHT_EYE", "LEFT_EAR", "RIGHT_EAR"),
)
_HEADER = "std_msgs/Header header"
_FILES = {
    "msg/IdsList.msg": (_HEADER, "string[] ids"),
    "msg/NormalizedPointOfInterest2D.msg": ("float32 x", "float32 y", "float32 c"),
    "msg/NormalizedRegionOfInterest2D.msg": (
        _HEADER,
        *(f"float32 {name}" for name in ("xmin", "ymin", "xmax", "ymax", "c")),
    ),
    "msg/Skeleton2D.msg": (
        _HEADER,
        *(f"uint8 {name} = {number}" for number, name in enumerate(_POINTS)),
        "NormalizedPointOfInterest2D[18] skeleton",
    ),
    "package.xml": (
        '<package format="3"><name>hri_msgs</name><version>2.0.0</version><description>A part of it</description>',
        '<maintainer email="nobody@pose-perception.example">nobody</maintainer><license>Apache-2.0</license>',
        "<buildtool_depend>ament_cmake</buildtool_depend><build_depend>rosidl_default_generators</build_depend>",
        "<depend>std_msgs</depend><member_of_group>rosidl_interface_packages</member_of_group></package>",
    ),
    "CMakeLists.txt": (
        "cmake_minimum_required(VERSION 3.16)",
        "project(hri_msgs)",
        "find_package(ament_cmake REQUIRED)",
        "find_package(rosidl_default_generators REQUIRED)",
        "find_package(std_msgs REQUIRED)",
        "file(GLOB messages RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} msg/*.msg)",
        "rosidl_generate_interfaces(${PROJECT_NAME} ${messages} DEPENDENCIES std_msgs)",
        "ament_package()",
    ),
}


def environment_with_hri_msgs() -> dict[str, str]:
    """Return an environment for processes in which hri_msgs can be imported; half a minute when it has to be built."""
    if importlib.util.find_spec("hri_msgs") is not None:
        return dict(os.environ)
    if shutil.which("cmake") is None or shutil.which("ninja") is None:
        pytest.skip("hri_msgs is not installed, and there is no CMake to build it")
    key = hashlib.sha256(repr((_FILES, sys.version, sys.prefix)).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"pose_perception_test_hri_msgs_{key}"
    if not (folder / "finished").exists():
        _build(folder)
    site = next((folder / "install").glob("**/*-packages/hri_msgs")).parent
    added = {
        "AMENT_PREFIX_PATH": folder / "install",
        "LD_LIBRARY_PATH": folder / "install" / "lib",
        "PYTHONPATH": site,
    }
    return {**os.environ, **{name: f"{path}:{os.environ.get(name, '')}".rstrip(":") for name, path in added.items()}}


def _build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, lines in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    options = [f"-DPython3_EXECUTABLE={sys.executable}", f"-DCMAKE_INSTALL_PREFIX={folder / 'install'}"]
    for step in (["-GNinja", "-S", ".", "-B", "build", *options], ["--build", "build", "--target", "install"]):
        done = subprocess.run(["cmake", *step], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (folder / "finished").touch()

"""Packages of messages that are built from their definitions where they are not installed, for tests."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest


def environment_with(package: str, needs: Sequence[str], files: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return an environment for processes in which a package can be imported; half a minute when it has to be built.

    Args:
        package: Its name.
        needs: Packages of messages that it is made of.
        files: Lines of its definitions, by name as `msg/Name.msg`.
    """
    if importlib.util.find_spec(package) is not None:
        return dict(os.environ)
    if shutil.which("cmake") is None or shutil.which("ninja") is None:
        pytest.skip(f"{package} is not installed, and there is no CMake to build it")
    content = {**files, **_build_files(package, needs, list(files))}
    key = hashlib.sha256(repr((content, sys.version, sys.prefix)).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"pose_perception_test_{package}_{key}"
    if not (folder / "finished").exists():
        _build(folder, content)
    site = next((folder / "install").glob(f"**/*-packages/{package}")).parent
    added = {
        "AMENT_PREFIX_PATH": folder / "install",
        "LD_LIBRARY_PATH": folder / "install" / "lib",
        "PYTHONPATH": site,
    }
    return {**os.environ, **{name: f"{path}:{os.environ.get(name, '')}".rstrip(":") for name, path in added.items()}}


def _build_files(package: str, needs: Sequence[str], definitions: Sequence[str]) -> dict[str, Sequence[str]]:
    return {
        "package.xml": (
            f'<package format="3"><name>{package}</name><version>2.0.0</version><description>A part</description>',
            '<maintainer email="nobody@pose-perception.example">nobody</maintainer><license>Apache-2.0</license>',
            "<buildtool_depend>ament_cmake</buildtool_depend><build_depend>rosidl_default_generators</build_depend>",
            *(f"<depend>{need}</depend>" for need in needs),
            "<member_of_group>rosidl_interface_packages</member_of_group></package>",
        ),
        "CMakeLists.txt": (
            "cmake_minimum_required(VERSION 3.16)",
            f"project({package})",
            "find_package(ament_cmake REQUIRED)",
            "find_package(rosidl_default_generators REQUIRED)",
            *(f"find_package({need} REQUIRED)" for need in needs),
            f"rosidl_generate_interfaces(${{PROJECT_NAME}} {' '.join(definitions)} DEPENDENCIES {' '.join(needs)})",
            "ament_package()",
        ),
    }


def _build(folder: Path, files: Mapping[str, Sequence[str]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, lines in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    options = [f"-DPython3_EXECUTABLE={sys.executable}", f"-DCMAKE_INSTALL_PREFIX={folder / 'install'}"]
    for step in (["-GNinja", "-S", ".", "-B", "build", *options], ["--build", "build", "--target", "install"]):
        done = subprocess.run(["cmake", *step], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (folder / "finished").touch()

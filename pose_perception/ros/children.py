"""Nodes as child processes, for where there is no launch system."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ament_index_python.packages import get_package_prefix

from pose_perception.errors import PosePerceptionError

_END_S = 5.0
_POLL_S = 0.05
_TAIL_LINES = 20


class NodeEndedError(PosePerceptionError):
    """A node ended by itself; the message holds the end of its log."""


class Children:
    """Starts nodes, watches over them and ends every one of them when the context is left.

    Args:
        log_folder: Where the output of each node goes, as `<node>.log`.
        environment: The environment of the nodes.
    """

    def __init__(self, log_folder: Path, environment: Mapping[str, str]) -> None:
        self._log_folder, self._environment = log_folder, dict(environment)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, node: str, parameters: Mapping[str, object], remappings: Mapping[str, str] | None = None) -> None:
        """Start a node of this package.

        Args:
            node: Name of the program.
            parameters: ROS parameters.
            remappings: New name by topic.
        """
        program = Path(get_package_prefix("pose_perception")) / "lib" / "pose_perception" / node
        # JSON is YAML, which ROS expects; unquoted, a folder named 2024 would be a number.
        words = [text for name, value in parameters.items() for text in ("-p", f"{name}:={json.dumps(value)}")]
        words += [text for name, new in (remappings or {}).items() for text in ("-r", f"{name}:={new}")]
        self._log_folder.mkdir(parents=True, exist_ok=True)
        with self._log(node).open("wb") as log:
            # A session of its own, so that Ctrl-C reaches the nodes only through `stop`, in order.
            self._processes[node] = subprocess.Popen(
                [sys.executable, str(program), "--ros-args", *words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_running(self, node: str) -> bool:
        """Tell whether a node runs.

        Raises:
            NodeEndedError: it ended with an error.
        """
        code = self._processes[node].poll()
        if code:
            raise NodeEndedError(f"{node} ended with exit code {code}. The end of its log:\n{self.tail(node)}")
        return code is None

    def tail(self, node: str) -> str:
        """Return the last lines that a node wrote."""
        return "\n".join(self._log(node).read_text(errors="replace").splitlines()[-_TAIL_LINES:])

    def peak_memory_mb(self, node: str) -> float:
        """Return the most memory that a running node has held, MiB; NaN when that is not known."""
        try:
            status = Path(f"/proc/{self._processes[node].pid}/status").read_text()
        except OSError:
            return float("nan")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else float("nan")

    def stop(self, *nodes: str) -> list[str]:
        """End some nodes, or all; return those that had to be killed."""
        chosen = nodes or tuple(self._processes)
        running = {name: self._processes[name] for name in chosen if self._processes[name].poll() is None}
        for process in running.values():
            process.send_signal(signal.SIGINT)
        end_s = time.monotonic() + _END_S
        while time.monotonic() < end_s and any(process.poll() is None for process in running.values()):
            time.sleep(_POLL_S)
        stubborn = [name for name, process in running.items() if process.poll() is None]
        for name in stubborn:
            running[name].kill()
            running[name].wait()
        return stubborn

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _log(self, node: str) -> Path:
        return self._log_folder / f"{node}.log"


def ros_environment(own_domain: bool) -> dict[str, str]:
    """Return the environment for the nodes: with the shared-memory profile, without which images get lost.

    Args:
        own_domain: Stay on this machine, in a domain that no other run uses, unless the user has chosen one.
    """
    profile = Path(get_package_prefix("pose_perception")) / "share/pose_perception/config/fastdds_shared_memory.xml"
    defaults = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(profile)}
    if own_domain:
        # Domains above 101 collide with the ports that Linux gives to clients.
        defaults |= {"ROS_DOMAIN_ID": str(1 + os.getpid() % 101), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return defaults | dict(os.environ)

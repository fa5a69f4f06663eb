"""Writes messages into an MCAP bag that rosbag2 and Foxglove open, without needing rosbag2."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Any

from ament_index_python.packages import get_package_share_directory
from mcap.writer import CompressionType, Writer
from rclpy.serialization import serialize_message

from pose_perception.errors import InvalidInputError

_PRIMITIVES = {"bool", "byte", "char", "float32", "float64", "string", "wstring"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
# A field: its type, without the bound of a string and the size of an array, and its name.
_FIELD = re.compile(r"^\s*(?P<type>[A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*")
_RULE = "=" * 80


class BagWriter:
    """Writes a bag with the profile ros2: messages in CDR, and the definition of each type beside them.

    Args:
        path: The file; its folder is made when there is none, and an older file is replaced.
        chunk_bytes: Messages reach the file in pieces of this size; what was not written yet is lost with the process.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, chunk_bytes: int = 1 << 20) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("wb")
        self._writer = Writer(self._stream, chunk_bytes, CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="pose_perception")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def write(self, topic: str, message: Any, time_ns: int) -> None:
        """Append a message.

        Args:
            topic: Full name of the topic.
            message: Any ROS message; all messages of a topic have the same type.
            time_ns: When it was received, nanoseconds since 1970.
        """
        self.write_serialized(topic, type_name(type(message)), serialize_message(message), time_ns)

    def write_serialized(self, topic: str, kind: str, data: bytes, time_ns: int) -> None:
        """Append a message that is serialized already.

        Args:
            topic: Full name of the topic.
            kind: Type of its messages, as `sensor_msgs/msg/Image`.
            data: The message (CDR).
            time_ns: When it was received, nanoseconds since 1970.
        """
        if topic not in self._channels:
            self._channels[topic] = self._writer.register_channel(topic, "cdr", self._schema(kind))
        self._writer.add_message(self._channels[topic], time_ns, data, time_ns)

    def flush(self) -> None:
        """Hand over to the operating system what chunks are full."""
        self._stream.flush()

    def close(self) -> None:
        """Write the index, without which few programs open the file."""
        self._writer.finish()
        self._stream.close()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _schema(self, name: str) -> int:
        if name not in self._schemas:
            self._schemas[name] = self._writer.register_schema(name, "ros2msg", message_definition(name).encode())
        return self._schemas[name]


def type_name(message_type: type) -> str:
    """Return the name of a message class as `sensor_msgs/msg/Image`."""
    package, kind, *_ = message_type.__module__.split(".")
    return f"{package}/{kind}/{message_type.__name__}"


def message_definition(name: str) -> str:
    """Return the definition of a type, followed by those of all types it is made of, as bags hold it.

    Args:
        name: As `sensor_msgs/msg/Image`; its package must be installed with its definitions.

    Raises:
        InvalidInputError: it is not.
    """
    package, _, base = name.split("/")
    texts = {f"{package}/{base}": _read_definition(package, base)}
    waiting = [f"{package}/{base}"]
    while waiting:
        for used in _used_types(waiting.pop(0), texts):
            if used not in texts:
                texts[used] = _read_definition(*used.split("/"))
                waiting.append(used)
    first, *others = texts.items()
    return first[1] + "".join(f"\n{_RULE}\nMSG: {used}\n{text}" for used, text in others)


def _used_types(name: str, texts: dict[str, str]) -> list[str]:
    matches = (_FIELD.match(line.partition("#")[0]) for line in texts[name].splitlines())
    types = [match["type"] for match in matches if match and match["type"] not in _PRIMITIVES]
    # A name without a package belongs to the package that uses it.
    return [used if "/" in used else f"{name.split('/')[0]}/{used}" for used in types]


def _read_definition(package: str, base: str) -> str:
    try:
        return (Path(get_package_share_directory(package)) / "msg" / f"{base}.msg").read_text()
    except (OSError, LookupError, ValueError) as error:
        raise InvalidInputError(f"the definition of {package}/msg/{base} is not installed: {error}") from error

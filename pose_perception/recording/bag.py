"""A recording as a bag of ROS 2 messages in the MCAP format."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from mcap.exceptions import EndOfFile, McapError
from mcap.reader import McapReader, NonSeekingReader, SeekingReader
from mcap.records import Channel, Schema
from mcap_ros2.decoder import DecoderFactory

from pose_perception.errors import InvalidInputError

# What the reader raises on a damaged file, by the place of the damage.
_DAMAGE = (McapError, struct.error, EOFError, KeyError, OSError, RuntimeError, ValueError)


class BagCutOffError(InvalidInputError):
    """A bag ends too early, as one does whose recorder was killed; what lies before the end is whole."""


class BagMessage(NamedTuple):
    """One message of a bag.

    Attributes:
        topic: Where it was published.
        time_ns: When it was recorded.
        data: The serialized message (CDR).
    """

    topic: str
    time_ns: int
    data: bytes


class BagRecording:
    """An MCAP bag with ROS 2 messages, as `ros2 bag record` or the library `mcap` writes it.

    Attributes:
        files: The parts of the bag in order.
        types: Name of the message type by topic, as `sensor_msgs/msg/Image`.

    Args:
        path: A file `*.mcap`, or the folder that rosbag2 writes.

    Raises:
        InvalidInputError: there is no MCAP file, it cannot be read, it is damaged, or it holds no messages of ROS 2.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self.files = _bag_files(self.path)
        except OSError as error:
            raise InvalidInputError(f"{path} cannot be read: {error}") from error
        channels = [found for file in self.files for found in _channels(file)]
        self.types = {channel.topic: schema.name for channel, schema in channels if channel.message_encoding == "cdr"}
        if not self.types:
            found = sorted(f"{channel.topic} ({channel.message_encoding})" for channel, _ in channels)
            raise InvalidInputError(
                f"{path} holds no messages of ROS 2 (encoding cdr)" + (f", only {', '.join(found)}" if found else "")
            )

    def messages(self, topics: Iterable[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics in the order of recording.

        Raises:
            InvalidInputError: a file is cut off or damaged; what lies before the damage has been yielded.
        """
        wanted = set(topics)
        for file in self.files:
            for _, channel, message in _read(file, wanted):
                yield BagMessage(channel.topic, message.log_time, message.data)

    def decoded(self, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
        """Yield topic, time of recording in nanoseconds and the decoded message, in the order of recording.

        Raises:
            InvalidInputError: a file is cut off or damaged; what lies before the damage has been yielded.
        """
        wanted, factory, decoders = set(topics), DecoderFactory(), {}
        for file in self.files:
            for schema, channel, message in _read(file, wanted):
                if schema.name not in decoders:
                    decoders[schema.name] = factory.decoder_for(channel.message_encoding, schema)
                try:
                    content = decoders[schema.name](message.data)
                except _DAMAGE as error:
                    raise InvalidInputError(f"{file}: a message on {channel.topic} cannot be read: {error}") from error
                yield channel.topic, message.log_time, content

    def first_messages(self, topics: Iterable[str]) -> dict[str, Any]:
        """Decode the first message of each topic; topics without a message are left out."""
        missing, found, factory = set(topics), {}, DecoderFactory()
        for file in self.files:
            for schema, channel, message in _read(file, set(missing)) if missing else ():
                if channel.topic in missing:
                    found[channel.topic] = factory.decoder_for(channel.message_encoding, schema)(message.data)
                    missing.remove(channel.topic)
                if not missing:
                    break
        return found


def _bag_files(path: Path) -> tuple[Path, ...]:
    if path.is_dir():
        # The parts are numbered bag_0.mcap, bag_1.mcap ...; shorter names first puts 9 before 10.
        files = tuple(sorted(path.glob("*.mcap"), key=lambda file: (len(file.name), file.name)))
        hint = "; `ros2 bag convert` makes MCAP from other formats"
        if not files:
            raise InvalidInputError(f"{path} holds no *.mcap file{hint if any(path.iterdir()) else ''}")
        return files
    if not path.is_file():
        raise InvalidInputError(f"there is no bag {path}")
    if path.suffix != ".mcap":
        raise InvalidInputError(f"{path} is no *.mcap file; `ros2 bag convert` makes MCAP from other formats")
    return (path,)


def _channels(file: Path) -> list[tuple[Channel, Schema]]:
    with _open(file) as stream:
        reader = _indexed_reader(stream)
        if reader is not None:
            summary = reader.get_summary()
            channels = [
                (channel, summary.schemas[channel.schema_id])
                for channel in summary.channels.values()
                if channel.schema_id in summary.schemas
            ]
            if channels:
                return channels
    # Without an index, as a recorder that was killed leaves it, only reading everything tells what is in it.
    found: dict[int, tuple[Channel, Schema]] = {}
    try:
        for schema, channel, _ in _read(file, None):
            found[channel.id] = (channel, schema)
    except InvalidInputError:
        if not found:
            raise
    return list(found.values())


def _read(file: Path, topics: set[str] | None) -> Iterator[tuple[Schema, Channel, Any]]:
    count = 0
    with _open(file) as stream:
        try:
            reader = _indexed_reader(stream)
            if reader is None:
                stream.seek(0)
                # Sorting would need all of the file in memory; recorders write in order but for a few messages.
                messages = NonSeekingReader(stream).iter_messages(topics, log_time_order=False)
            else:
                messages = reader.iter_messages(topics)
            for item in messages:
                yield item
                count += 1
        except _DAMAGE as error:
            kind = BagCutOffError if isinstance(error, EndOfFile) else InvalidInputError
            raise kind(
                f"{file} is cut off or damaged after {count} messages ({error!r}); `mcap recover` repairs it"
            ) from error


def _open(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error}") from error


def _indexed_reader(stream: IO[bytes]) -> McapReader | None:
    """Return a reader that uses the index at the end of the file; None when the file has none."""
    try:
        reader = SeekingReader(stream)
        summary = reader.get_summary()
    except _DAMAGE:
        return None
    return reader if summary is not None and summary.chunk_indexes else None

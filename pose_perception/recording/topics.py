"""Which topics of a bag hold the colour images, the depth images and the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pose_perception.errors import InvalidInputError
from pose_perception.recording.bag import BagRecording

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

# In the order of preference.
_COLOR_ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "compressed", "mono8")
_DEPTH_ENCODINGS = ("16UC1", "32FC1", "mono16")


@dataclass(frozen=True)
class RgbdTopics:
    """Topics of one RGB-D camera.

    Attributes:
        color: Colour images, raw or compressed.
        depth: Depth images.
        camera_info: Camera of the colour images.
        depth_camera_info: Camera of the depth images; None when they are registered to colour.
    """

    color: str
    depth: str
    camera_info: str
    depth_camera_info: str | None = None


def choose_topics(bag: BagRecording, color: str = "", depth: str = "", camera_info: str = "") -> RgbdTopics:
    """Find the topics of an RGB-D camera by type, encoding and name.

    Args:
        bag: Where to look.
        color: Topic of the colour images; looked for when empty.
        depth: Topic of the depth images; looked for when empty.
        camera_info: Topic of the camera of the colour images; looked for when empty.

    Raises:
        InvalidInputError: the bag does not hold a topic, or no message of it.
    """
    first = bag.first_messages(name for name, kind in bag.types.items() if kind in (IMAGE, COMPRESSED_IMAGE))
    encodings = {name: _encoding(message) for name, message in first.items()}
    color = color or _best(encodings, _COLOR_ENCODINGS, "colour image", "color_topic", first)
    _require(bag, color, "color_topic", (IMAGE, COMPRESSED_IMAGE))
    reference = first.get(color)
    depth = depth or _best(encodings, _DEPTH_ENCODINGS, "depth image", "depth_topic", first, reference)
    _require(bag, depth, "depth_topic", (IMAGE,))
    camera_info = camera_info or _info_beside(bag, color)
    _require(bag, camera_info, "camera_info_topic", (CAMERA_INFO,))
    return RgbdTopics(color, depth, camera_info, _depth_info(bag, depth, camera_info, reference, first.get(depth)))


def _encoding(message: Any) -> str:
    # CompressedImage has a format instead; compressed depth would be taken for colour without the second test.
    if hasattr(message, "encoding"):
        return message.encoding
    return "compressed" if "compressedDepth" not in message.format else message.format


def _best(
    encodings: dict[str, str],
    accepted: tuple[str, ...],
    what: str,
    parameter: str,
    first: dict[str, Any],
    reference: Any = None,
) -> str:
    """Choose by the frame of the reference image, then by encoding, then by name."""
    candidates = [name for name, encoding in encodings.items() if encoding in accepted]
    if not candidates:
        found = ", ".join(f"{name} ({encoding})" for name, encoding in sorted(encodings.items())) or "no images"
        raise InvalidInputError(f"the bag holds no {what} ({', '.join(accepted)}); it holds {found}. Set {parameter}")
    frame = reference.header.frame_id if reference is not None else None

    def rank(name: str) -> tuple[bool, int, str]:
        return frame is not None and first[name].header.frame_id != frame, accepted.index(encodings[name]), name

    return min(candidates, key=rank)


def _require(bag: BagRecording, topic: str, parameter: str, types: tuple[str, ...]) -> None:
    if bag.types.get(topic) not in types:
        choices = sorted(name for name, kind in bag.types.items() if kind in types)
        raise InvalidInputError(
            f"{parameter} '{topic}' is no topic of the bag with type {' or '.join(types)}; "
            f"choices: {', '.join(choices) or 'none'}"
        )


def _info_beside(bag: BagRecording, image: str) -> str:
    """Return the camera of an image topic: `camera_info` next to it, or the only one there is."""
    base = image.removesuffix("/compressed")
    beside = base.rpartition("/")[0] + "/camera_info"
    every = sorted(name for name, kind in bag.types.items() if kind == CAMERA_INFO)
    if beside in every:
        return beside
    if len(every) == 1:
        return every[0]
    raise InvalidInputError(
        f"no camera info belongs to {image} by its name; set camera_info_topic to one of: {', '.join(every) or 'none'}"
    )


def _depth_info(bag: BagRecording, depth: str, camera_info: str, color: Any, depth_image: Any) -> str | None:
    if color is None or depth_image is None or color.header.frame_id == depth_image.header.frame_id:
        return None
    beside = depth.rpartition("/")[0] + "/camera_info"
    return beside if bag.types.get(beside) == CAMERA_INFO and beside != camera_info else None

"""A recording as a folder of image files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_perception.errors import InvalidInputError
from pose_perception.geometry.camera import load_camera
from pose_perception.recording.images import read_color, read_depth_mm

_COLOR_SUFFIXES = (".png", ".jpg", ".jpeg")


class RecordedImages(NamedTuple):
    """One colour image and its depth, registered to it.

    Attributes:
        name: File name without folder and suffix.
        color: RGB with shape (height, width, 3), uint8.
        depth_mm: Depth with shape (height, width), uint16 millimetres, 0 where the sensor saw nothing.
    """

    name: str
    color: npt.NDArray[np.uint8]
    depth_mm: npt.NDArray[np.uint16]


class FolderRecording:
    """A folder with `color/*.png|jpg`, `depth/*.png` (uint16, millimetres) of the same names, and `camera.json`.

    Attributes:
        camera: Intrinsics that hold for both images.
        names: Names of the pairs in order.
        unpaired: Files that have no partner in the other folder.

    Args:
        path: The folder.

    Raises:
        InvalidInputError: a part is missing, or there is not one pair.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InvalidInputError(f"there is no folder {self.path}")
        color, depth = self._files("color", _COLOR_SUFFIXES), self._files("depth", (".png",))
        self.names = tuple(sorted(color.keys() & depth.keys()))
        if not self.names:
            raise InvalidInputError(
                f"{self.path} holds no pair of images: {len(color)} files in color/ (png, jpg), {len(depth)} in depth/ "
                "(png); a pair has the same name in both"
            )
        self.camera = load_camera(self.path / "camera.json")
        alone = color.keys() ^ depth.keys()
        self.unpaired = tuple(sorted(files[name] for files in (color, depth) for name in files.keys() & alone))
        self._color, self._depth = color, depth

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> RecordedImages:
        """Read and check one pair.

        Raises:
            InvalidInputError: a file is only half written, is no image, or has another size than the camera.
        """
        name = self.names[index]
        color, depth = read_color(self._color[name]), read_depth_mm(self._depth[name])
        size = (self.camera.height, self.camera.width)
        for path, image in ((self._color[name], color), (self._depth[name], depth)):
            if image.shape[:2] != size:
                height, width = image.shape[:2]
                raise InvalidInputError(f"{path} is {width}x{height}, but camera.json says {size[1]}x{size[0]}")
        return RecordedImages(name, color, depth)

    def _files(self, kind: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
        folder = self.path / kind
        if not folder.is_dir():
            raise InvalidInputError(f"{self.path} has no folder {kind}/")
        return {path.stem: path for path in folder.iterdir() if path.suffix.lower() in suffixes}

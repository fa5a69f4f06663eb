"""The coloured surface of a mesh: what a ray that meets it sees.

A mesh is coloured by a texture with UV coordinates, by its vertices, by its faces, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray

if TYPE_CHECKING:
    import trimesh

# Albedo of what has no colour; networks were trained with it for such models.
GREY = 0.6
_SMALLEST_TEXTURE = 8


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles with colour.

    Attributes:
        vertices: Shape (V, 3), metres, float32.
        faces: Shape (F, 3), int32.
        colors: Albedo at the corners of each face with shape (F, 3, 3), 0 to 1, float32; None with a texture or without
            any colour.
        uvs: Texture coordinates at the corners of each face with shape (F, 3, 2), v upwards, float32; None without.
        texture: The texture and its halvings, each (h, w, 3) uint8 RGB; empty without.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    colors: npt.NDArray[np.float32] | None = None
    uvs: npt.NDArray[np.float32] | None = None
    texture: tuple[npt.NDArray[np.uint8], ...] = field(default=())

    @property
    def has_color(self) -> bool:
        """Whether anything is known about the colour of the surface."""
        return self.colors is not None or self.uvs is not None

    def albedo(
        self, faces: npt.NDArray[np.integer], barycentric: FloatArray, texel_m: float
    ) -> npt.NDArray[np.float32]:
        """Return the colour of points on the surface with shape (N, 3), 0 to 1, RGB.

        Args:
            faces: Index of the face of each point, shape (N,).
            barycentric: Weights of the second and third corner, shape (N, 2).
            texel_m: Size of what one point stands for, metres: the texture is averaged over about that much.
        """
        if not self.has_color:
            return np.full((len(faces), 3), GREY, np.float32)
        u, v = np.ascontiguousarray(barycentric.T, np.float32)
        rest = 1 - u - v
        # One number after the other: numpy is slow with the short axes of corners and channels.
        values = [
            rest * first.take(faces) + u * second.take(faces) + v * third.take(faces)
            for first, second, third in self._by_channel
        ]
        return np.stack(values, axis=1) if self.uvs is None else self._sample(*values, self._level(texel_m))

    @cached_property
    def _by_channel(self) -> npt.NDArray[np.float32]:
        """Colours or texture coordinates by channel, corner and face, shape (C, 3, F)."""
        corners = self.uvs if self.uvs is not None else self.colors
        return np.ascontiguousarray(np.transpose(corners, (2, 1, 0)), np.float32)

    @cached_property
    def texel_size(self) -> float:
        """Return the edge of one texel of the full texture on the surface, metres (its mean over the surface)."""
        corners = self.vertices[self.faces]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
        one, other = self.uvs[:, 1] - self.uvs[:, 0], self.uvs[:, 2] - self.uvs[:, 0]
        height, width = self.texture[0].shape[:2]
        texels = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).sum() * height * width
        return float(np.sqrt(area / max(texels, 1.0)))

    def _level(self, texel_m: float) -> npt.NDArray[np.uint8]:
        ratio = texel_m / max(self.texel_size, 1e-9)
        return self.texture[int(np.clip(np.round(np.log2(max(ratio, 1.0))), 0, len(self.texture) - 1))]

    @staticmethod
    def _sample(
        u: npt.NDArray[np.float32], v: npt.NDArray[np.float32], texture: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float32]:
        """Nearest texel; coordinates outside of 0 to 1 repeat the texture."""
        height, width = texture.shape[:2]
        column, row = _texels(u, width), _texels(1 - v, height)
        return texture.reshape(-1, 3).take(row * np.int32(width) + column, axis=0) * np.float32(1 / 255)


def _texels(coordinate: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int32]:
    """Return the index of the texel among so many, which repeat."""
    texel = np.floor(coordinate * np.float32(count)).astype(np.int32)
    texel -= texel // np.int32(count) * np.int32(count)  # the remainder, which numpy itself takes longer for
    return texel


def halvings(texture: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], ...]:
    """Return a texture (h, w, 3) and its successive halvings, averaged over areas."""
    levels = [np.ascontiguousarray(texture)]
    while min(levels[-1].shape[:2]) >= 2 * _SMALLEST_TEXTURE:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return tuple(levels)


def surface_of(mesh: trimesh.Trimesh) -> Surface:
    """Return the surface of a mesh with whatever colour it carries."""
    import trimesh

    vertices = np.ascontiguousarray(mesh.vertices, np.float32)
    faces = np.ascontiguousarray(mesh.faces, np.int32)
    visual = mesh.visual
    if isinstance(visual, trimesh.visual.TextureVisuals):
        image = _texture_image(visual)
        if visual.uv is not None and len(visual.uv) == len(vertices) and image is not None:
            uvs = np.asarray(visual.uv, np.float32)[faces]
            return Surface(vertices, faces, uvs=uvs, texture=halvings(image))
        color = getattr(visual.material, "main_color", None)
        default = trimesh.visual.material.SimpleMaterial().main_color
        if color is None or np.array_equal(color[:3], default[:3]):
            return Surface(vertices, faces)
        return Surface(vertices, faces, colors=_constant(color, len(faces)))
    if visual.kind == "vertex":
        return Surface(vertices, faces, colors=np.float32(visual.vertex_colors[:, :3][faces] / 255.0))
    if visual.kind == "face":
        by_face = np.float32(visual.face_colors[:, None, :3] / 255.0)
        return Surface(vertices, faces, colors=np.repeat(by_face, 3, axis=1))
    return Surface(vertices, faces)


def _constant(color: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.float32]:
    return np.broadcast_to(np.float32(np.asarray(color[:3]) / 255.0), (count, 3, 3)).copy()


def _texture_image(visual: trimesh.visual.TextureVisuals) -> npt.NDArray[np.uint8] | None:
    material = visual.material
    image = getattr(material, "image", None)
    if image is None:
        image = getattr(material, "baseColorTexture", None)
    return None if image is None else np.asarray(image.convert("RGB"), np.uint8)

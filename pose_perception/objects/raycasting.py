"""The renderer for the CPU: ray casting with Open3D, which uses Embree."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.objects.renderer import Pictures, cast, pixel_size, shade
from pose_perception.objects.surface import Surface

# Rays that are cast at once; bounds the memory to about 150 MB.
_MOST_RAYS = 2_000_000


class RaycastingRenderer:
    """Renders a surface on the CPU.

    Args:
        surface: What to render.
    """

    def __init__(self, surface: Surface) -> None:
        import open3d

        self._open3d = open3d
        self._surface = surface
        self._center = (surface.vertices.min(0) + surface.vertices.max(0)) / 2
        self._scene = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            open3d.core.Tensor(surface.vertices), open3d.core.Tensor(surface.faces.astype(np.uint32))
        )

    def render(
        self, camera_from_object: FloatArray, intrinsics: FloatArray, size: int | tuple[int, int], color: bool = True
    ) -> Pictures:
        """See `Renderer.render`."""
        shape = (size, size) if isinstance(size, int) else size
        step = max(1, _MOST_RAYS // (shape[0] * shape[1]))
        parts = [
            self._render(camera_from_object[i : i + step], intrinsics[i : i + step], shape, color)
            for i in range(0, max(len(camera_from_object), 1), step)
        ]
        return parts[0] if len(parts) == 1 else Pictures(*map(np.concatenate, zip(*parts, strict=True)))

    def _render(self, poses: FloatArray, intrinsics: FloatArray, shape: tuple[int, int], color: bool) -> Pictures:
        rays = cast(poses, intrinsics, shape)
        lines = np.empty((*rays.directions.shape[:2], 6), np.float32)
        lines[..., :3] = rays.origins[:, None]
        lines[..., 3:] = rays.directions
        answer = self._scene.cast_rays(self._open3d.core.Tensor(lines.reshape(-1, 6)))
        depth = answer["t_hit"].numpy()
        index = np.nonzero(np.isfinite(depth))[0]
        hits = (
            index,
            depth[index],
            answer["primitive_ids"].numpy()[index].astype(np.int64),
            answer["primitive_uvs"].numpy()[index],
            answer["primitive_normals"].numpy()[index],
        )
        texel = pixel_size(poses, intrinsics, self._center) if color and len(poses) else None
        return shade(self._surface, rays, poses, hits, shape, texel)

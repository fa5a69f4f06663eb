"""The renderer for the CPU: ray casting with Open3D, which uses Embree."""

from __future__ import annotations

import os

import numpy as np

from pose_perception.objects.rays import Hits, RayRenderer, Rays, SurfacePoints
from pose_perception.objects.surface import Surface

# Few enough for all that is known of them to stay in the caches. With fewer, threads would more often wait for each
# other: Open3D casts with all cores, but lets no other thread run Python meanwhile.
_MOST_RAYS = 600_000
_MOST_THREADS = 4


class RaycastingRenderer(RayRenderer):
    """Renders a surface on the CPU; see `Renderer`.

    Args:
        surface: What to render.
    """

    def __init__(self, surface: Surface) -> None:
        import open3d

        super().__init__(surface, _MOST_RAYS, min(os.cpu_count() or 1, _MOST_THREADS))
        self._tensor = open3d.core.Tensor
        self._scene = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(self._tensor(surface.vertices), self._tensor(surface.faces.astype(np.uint32)))

    def meet(self, rays: Rays, surface: bool) -> Hits:
        """See `RayRenderer.meet`."""
        answer = self._scene.cast_rays(self._tensor(rays.lines))
        depth = answer["t_hit"].numpy()
        ray = np.flatnonzero(np.isfinite(depth))
        if not surface:
            return Hits(ray, depth.take(ray), None)
        points = SurfacePoints(
            answer["primitive_ids"].numpy().take(ray).astype(np.intp),
            answer["primitive_uvs"].numpy().take(ray, axis=0),
            answer["primitive_normals"].numpy().take(ray, axis=0),
        )
        return Hits(ray, depth.take(ray), points)

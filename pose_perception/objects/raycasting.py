"""The renderer for the CPU: ray casting with Open3D, which uses Embree."""

from __future__ import annotations

import numpy as np

from pose_perception.objects.rays import Hits, RayRenderer, Rays
from pose_perception.objects.surface import Surface

# Few enough for all that is known of them to stay in the cache of a core.
_MOST_RAYS = 150_000


class RaycastingRenderer(RayRenderer):
    """Renders a surface on the CPU; see `Renderer`.

    Args:
        surface: What to render.
    """

    def __init__(self, surface: Surface) -> None:
        import open3d

        super().__init__(surface, _MOST_RAYS)
        self._tensor = open3d.core.Tensor
        self._scene = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(self._tensor(surface.vertices), self._tensor(surface.faces.astype(np.uint32)))

    def meet(self, rays: Rays) -> Hits:
        """See `RayRenderer.meet`."""
        lines = np.empty((len(rays.directions), 6), np.float32)
        lines[:, :3] = rays.origins[rays.picture]
        lines[:, 3:] = rays.directions
        answer = self._scene.cast_rays(self._tensor(lines))
        depth = answer["t_hit"].numpy()
        ray = np.flatnonzero(np.isfinite(depth))
        return Hits(
            ray,
            depth[ray],
            answer["primitive_ids"].numpy()[ray].astype(np.int64),
            answer["primitive_uvs"].numpy()[ray],
            answer["primitive_normals"].numpy()[ray],
        )

"""The renderer for GPUs: ray casting with NVIDIA Warp, whose CPU device serves for tests."""

from __future__ import annotations

import numpy as np
import warp as wp

from pose_perception.errors import DeviceError
from pose_perception.objects.rays import Hits, RayRenderer, Rays, SurfacePoints
from pose_perception.objects.surface import Surface

_MOST_RAYS = 4_000_000
_FARTHEST_M = 1e3


class WarpRenderer(RayRenderer):
    """Renders a surface on a device of Warp; see `Renderer`.

    Args:
        surface: What to render.
        device: `cuda`, `cuda:0`, or `cpu`.

    Raises:
        DeviceError: Warp cannot use the device, for instance because its driver is too old.
    """

    def __init__(self, surface: Surface, device: str = "cuda") -> None:
        super().__init__(surface, _MOST_RAYS)
        wp.config.log_level = wp.LOG_ERROR  # neither a banner nor a line for each kernel
        try:
            self._device = wp.get_device(device)
        except (RuntimeError, ValueError) as error:
            raise DeviceError(f"Warp cannot use the device {device}: {error}") from error
        self._mesh = wp.Mesh(
            points=wp.array(surface.vertices, dtype=wp.vec3, device=self._device),
            indices=wp.array(surface.faces.reshape(-1), dtype=wp.int32, device=self._device),
        )

    def meet(self, rays: Rays, surface: bool) -> Hits:
        """See `RayRenderer.meet`."""
        count, device = len(rays.lines), self._device
        depth = wp.empty(count, dtype=wp.float32, device=device)
        face = wp.empty(count, dtype=wp.int32, device=device)
        barycentric = wp.empty(count, dtype=wp.vec2, device=device)
        normal = wp.empty(count, dtype=wp.vec3, device=device)
        wp.launch(
            _meet,
            dim=count,
            inputs=[
                self._mesh.id,
                wp.array(rays.origins, dtype=wp.vec3, device=device),
                wp.array(np.ascontiguousarray(rays.directions), dtype=wp.vec3, device=device),
                wp.array(rays.picture.astype(np.int32), dtype=wp.int32, device=device),
            ],
            outputs=[depth, face, barycentric, normal],
            device=device,
        )
        faces = face.numpy()
        ray = np.flatnonzero(faces >= 0)
        if not surface:
            return Hits(ray, depth.numpy()[ray], None)
        points = SurfacePoints(faces[ray], barycentric.numpy().take(ray, axis=0), normal.numpy().take(ray, axis=0))
        return Hits(ray, depth.numpy()[ray], points)


@wp.kernel
def _meet(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    picture: wp.array(dtype=wp.int32),
    depth: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    barycentric: wp.array(dtype=wp.vec2),
    normal: wp.array(dtype=wp.vec3),
) -> None:
    i = wp.tid()
    length = wp.length(directions[i])
    query = wp.mesh_query_ray(mesh, origins[picture[i]], directions[i] / length, _FARTHEST_M)
    face[i] = -1
    if query.result:
        face[i] = query.face
        depth[i] = query.t / length
        # Warp weighs the first two corners.
        barycentric[i] = wp.vec2(query.v, 1.0 - query.u - query.v)
        normal[i] = wp.normalize(query.normal)

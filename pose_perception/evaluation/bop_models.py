"""Models to measure with, and their depth as a camera sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_perception.datatypes import CameraIntrinsics, FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.evaluation.bop import EvaluatedModel, model_diameter, symmetry_transforms
from pose_perception.geometry.camera import project, rays
from pose_perception.recording.bop import BopModel


def load_evaluated(model: BopModel) -> EvaluatedModel:
    """Read a mesh.

    Its diameter is that of `models_info.json`, where it is there, else that of the vertices.

    Raises:
        InvalidInputError: the file is no mesh, or a symmetry is not as BOP writes it.
    """
    import trimesh

    try:
        mesh = trimesh.load(model.path, force="mesh", process=False)
        vertices, faces = np.asarray(mesh.vertices, np.float64) * model.scale, np.asarray(mesh.faces, np.int64)
    except Exception as error:  # trimesh raises whatever its readers raise
        raise InvalidInputError(f"{model.path} is no mesh that can be read: {error}") from error
    if not len(faces) or not np.isfinite(vertices).all():
        raise InvalidInputError(f"{model.path} has no faces, or vertices that are not finite")
    # Vertices that a texture splits count once.
    vertices, inverse = np.unique(vertices, axis=0, return_inverse=True)
    diameter = float(model.info.get("diameter", 0.0)) / 1000 or model_diameter(vertices)
    symmetries = symmetry_transforms(model.info)
    return EvaluatedModel(model.name, vertices, np.reshape(inverse, -1)[faces], diameter, symmetries)


class DepthRenderer:
    """Renders the depth of single models by ray casting on the CPU.

    Args:
        camera: Intrinsics of the image.
    """

    def __init__(self, camera: CameraIntrinsics) -> None:
        self._camera = camera
        u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        self._rays = rays(np.stack([u, v], axis=-1), camera)
        self._scenes: dict[str, Any] = {}

    def __call__(self, model: EvaluatedModel, camera_from_object: FloatArray) -> FloatArray:
        """Return the depth along the optical axis, metres, shape (height, width); 0 where the model is not.

        Args:
            model: What to render.
            camera_from_object: Its pose, shape (4, 4), metres.
        """
        import open3d

        rows, columns = self._window(model, camera_from_object)
        depth = np.zeros(self._rays.shape[:2])
        directions = self._rays[rows, columns] @ camera_from_object[:3, :3]
        if not directions.size:
            return depth
        origin = -camera_from_object[:3, :3].T @ camera_from_object[:3, 3]
        beams = np.concatenate([np.broadcast_to(origin, directions.shape), directions], axis=-1)
        hits = self._scene(model).cast_rays(open3d.core.Tensor(beams.astype(np.float32)))["t_hit"].numpy()
        depth[rows, columns] = np.where(np.isfinite(hits), hits, 0.0)
        return depth

    def _window(self, model: EvaluatedModel, camera_from_object: FloatArray) -> tuple[slice, slice]:
        """Return rows and columns outside of which the model cannot be."""
        points = model.vertices @ camera_from_object[:3, :3].T + camera_from_object[:3, 3]
        if points[:, 2].min() < 0.01:
            return slice(None), slice(None)
        pixels = project(points, self._camera)
        low = np.clip(np.floor(pixels.min(axis=0)) - 1, 0, (self._camera.width, self._camera.height)).astype(int)
        high = np.clip(np.ceil(pixels.max(axis=0)) + 2, 0, (self._camera.width, self._camera.height)).astype(int)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def _scene(self, model: EvaluatedModel) -> Any:
        import open3d

        if model.name not in self._scenes:
            scene = open3d.t.geometry.RaycastingScene(nthreads=1)
            scene.add_triangles(
                open3d.core.Tensor(model.vertices.astype(np.float32)),
                open3d.core.Tensor(model.faces.astype(np.uint32)),
            )
            self._scenes[model.name] = scene
        return self._scenes[model.name]

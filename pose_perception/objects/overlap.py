"""Whether two objects would be in the same place."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.objects.crops import crop_intrinsics, middles
from pose_perception.objects.registration import SearchedModel

# Two objects cannot both be there when this share of the smaller one's pixels shows both at the same depth, within some
# millimetres and a share of its radius: twice what `verification` allows each of them.
_SHARE, _SAME_M, _SAME_RADII = 0.4, 0.008, 0.08
_SIZE_PX = 96


def overlap(
    one: SearchedModel, pose: FloatArray, other: SearchedModel, other_pose: FloatArray, intrinsics: FloatArray
) -> bool:
    """Return whether two objects claim the same part of what is seen; one that stands behind another does not.

    Args:
        one: The one.
        pose: Its camera_from_object, shape (4, 4).
        other: The other.
        other_pose: Its camera_from_object.
        intrinsics: fx, fy, cx, cy of the image, shape (4,).
    """
    both, poses = (one, other), (pose, other_pose)
    models = (one.model, other.model)
    at = [middles(p[None], model.center)[0] for p, model in zip(poses, models, strict=True)]
    if np.linalg.norm(at[0] - at[1]) > models[0].radius + models[1].radius:
        return False
    smaller = int(models[1].radius < models[0].radius)
    model = models[smaller]
    crop = crop_intrinsics(poses[smaller][None], model.center, model.radius, intrinsics, 1.2, _SIZE_PX)
    depths = [
        searched.renderer.render(p[None], crop, _SIZE_PX, color=False).depth[0]
        for searched, p in zip(both, poses, strict=True)
    ]
    near = np.abs(depths[0] - depths[1]) < _SAME_M + _SAME_RADII * model.radius
    same = near & (depths[0] > 0) & (depths[1] > 0)
    return bool(same.sum() > _SHARE * (depths[smaller] > 0).sum())

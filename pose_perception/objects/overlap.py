"""Whether two objects would be in the same place."""

from __future__ import annotations

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.objects.crops import crop_intrinsics, middles
from pose_perception.objects.registration import SearchedModel

# Two objects of which this share of the smaller one's pixels are the same cannot both be there.
_SHARE = 0.4
_SIZE_PX = 96


def overlap(
    one: SearchedModel, pose: FloatArray, other: SearchedModel, other_pose: FloatArray, intrinsics: FloatArray
) -> bool:
    """Return whether two objects cover the same pixels and their spheres meet.

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
    masks = [
        searched.renderer.render(p[None], crop, _SIZE_PX, color=False).mask[0]
        for searched, p in zip(both, poses, strict=True)
    ]
    return bool((masks[0] & masks[1]).sum() > _SHARE * masks[smaller].sum())

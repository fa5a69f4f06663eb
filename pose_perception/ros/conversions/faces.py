"""Faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point32
from std_msgs.msg import Header

from pose_perception.datatypes import FaceMesh, Skeleton
from pose_perception.msg import Face, FaceArray


def face_array_message(skeletons: Sequence[Skeleton], header: Header) -> FaceArray:
    """Build the message of all faces in one image; people without one are left out."""
    faces = [_face_message(skeleton.id, skeleton.face) for skeleton in skeletons if skeleton.face is not None]
    return FaceArray(header=header, faces=faces)


def faces_from_message(message: FaceArray) -> dict[str, FaceMesh]:
    """Read back what `face_array_message` built: the face of each skeleton, by the id of that."""
    return {
        face.id: FaceMesh(
            score=face.score,
            pixels=np.asarray(face.pixels, float).reshape(-1, 2),
            positions=np.array([(point.x, point.y, point.z) for point in face.positions]),
        )
        for face in message.faces
    }


def _face_message(person_id: str, face: FaceMesh) -> Face:
    return Face(
        id=person_id,
        score=float(face.score),
        pixels=np.asarray(face.pixels, np.float32).ravel(),
        positions=[Point32(x=x, y=y, z=z) for x, y, z in face.positions.tolist()],
    )

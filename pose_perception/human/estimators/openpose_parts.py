"""The part sets of OpenPose: their limbs, where the fields of these are, and which parts are COCO's keypoints.

Numbers from OpenPose's poseParameters.cpp (POSE_COCO_BODY_PARTS and POSE_BODY_25_BODY_PARTS with their pairs and map
indices); the fields count from 0 here, there they stand behind the maps.
"""

from __future__ import annotations

from dataclasses import dataclass

from pose_perception.human.estimators.paf_grouping import PartGraph


@dataclass(frozen=True)
class PartSet:
    """What the results of a network mean.

    Attributes:
        graph: Parts and limbs.
        coco: Part of each of COCO's 17 keypoints.
    """

    graph: PartGraph
    coco: tuple[int, ...]


# Nose, neck, right shoulder, elbow, wrist, the same left, right hip, knee, ankle, the same left, right eye, left eye,
# right ear, left ear.
COCO_18 = PartSet(
    PartGraph(
        18,
        limbs=(
            *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
            *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)),
        ),
        channels=(
            *((12, 13), (20, 21), (14, 15), (16, 17), (22, 23), (24, 25), (0, 1), (2, 3), (4, 5), (6, 7), (8, 9)),
            *((10, 11), (28, 29), (30, 31), (34, 35), (32, 33), (36, 37), (18, 19), (26, 27)),
        ),
    ),
    coco=(0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10),
)
# As above down to the wrists, then middle of the hips, right hip, knee, ankle, the same left, eyes and ears as above,
# left big toe, small toe, heel, the same right.
BODY_25 = PartSet(
    PartGraph(
        25,
        limbs=(
            *((1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13)),
            *((13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (2, 17), (5, 18), (14, 19), (19, 20), (14, 21)),
            *((11, 22), (22, 23), (11, 24)),
        ),
        channels=(
            *((0, 1), (14, 15), (22, 23), (16, 17), (18, 19), (24, 25), (26, 27), (6, 7), (2, 3), (4, 5), (8, 9)),
            *((10, 11), (12, 13), (30, 31), (32, 33), (36, 37), (34, 35), (38, 39), (20, 21), (28, 29), (40, 41)),
            *((42, 43), (44, 45), (46, 47), (48, 49), (50, 51)),
        ),
    ),
    coco=(0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11),
)

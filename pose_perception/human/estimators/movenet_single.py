"""MoveNet Thunder and Lightning: the joints of one person in an upright crop, here for everybody in the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import (
    DUPLICATE_SIMILARITY,
    MIN_SCORE,
    EstimationConfig,
    Estimator,
    boxes_in_view,
    join_people,
    keypoint_boxes,
    person_scores,
)
from pose_perception.human.estimators.claims import foreign_joints
from pose_perception.human.estimators.crops import square_crops
from pose_perception.human.estimators.movenet import decode_single_pose
from pose_perception.human.estimators.movenet_finder import MovenetFinder
from pose_perception.human.similarity import box_overlap, keypoint_similarity, suppress_duplicates
from pose_perception.human.topology import COCO_17
from pose_perception.networks.runtime import load_network

# Side of the crop over the longer side of a person's box: the best of 1.0 to 1.5 on COCO pictures.
_CROP_SCALE = 1.15
# Both sights of a joint, direct and mirrored, count when they are this close, as a part of the longer side of the box.
_MAX_APART = 0.05
_TINY = 1e-9
# Half hidden people found by multipose with less than this are noise.
_MIN_LOST_SCORE = 0.15
_MIRRORED = list(COCO_17.mirrored)


class MovenetSingle:
    """Places the joints of people whose boxes are known.

    Args:
        kind: `thunder` or `lightning`.
        device: auto, cuda or cpu.
    """

    def __init__(self, kind: str, device: str) -> None:
        self._network = load_network(f"movenet_{kind}", device)

    def warm_up(self) -> None:
        """Run every batch size once."""
        self._network.warm_up()

    def place(
        self, color: npt.NDArray[np.uint8], boxes: FloatArray, mirror: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        """Return COCO's 17 keypoints (N, 17, 2), px, and their scores (N, 17).

        Args:
            color: RGB image with shape (H, W, 3).
            boxes: Around the people, (x0, y0, x1, y1) with shape (N, 4), px.
            mirror: Look at each crop mirrored too and average: more accurate, and twice the work.
        """
        size = self._network.input_size[0]
        crops, squares = square_crops(color, boxes, _CROP_SCALE, size)
        if mirror:
            crops = np.concatenate([crops, crops[:, :, ::-1]])
        poses = decode_single_pose(self._network(crops))
        pixels, scores = poses.pixels.astype(np.float64), poses.scores.astype(np.float64)
        if mirror:
            pixels, scores = _average(pixels, scores, size)
        return squares[:, None, :2] + pixels * (squares[:, None, 2:] / size), scores


def _average(pixels: FloatArray, scores: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
    """Join N direct and N mirrored sights (2 N, 17, ...) into N; the surer one wins where they do not agree."""
    direct, mirrored = np.split(pixels, 2)
    mirrored = np.stack([size - mirrored[..., 0], mirrored[..., 1]], axis=-1)[:, _MIRRORED]
    sights, sure = np.stack([direct, mirrored]), np.stack(np.split(scores, 2))
    sure[1] = sure[1][:, _MIRRORED]
    best = np.where((sure[0] >= sure[1])[..., None], *sights)
    agrees = np.linalg.norm(sights - best, axis=-1) < _MAX_APART * size / _CROP_SCALE
    weight = np.where(agrees, sure**2, 0)[..., None] + _TINY
    return (weight * sights).sum(axis=0) / weight.sum(axis=0), sure.mean(axis=0)


class MovenetPeople:
    """Everybody's joints: MoveNet multipose finds people, Thunder or Lightning places the joints of each.

    Args:
        kind: `thunder` or `lightning`.
        device: auto, cuda or cpu.
    """

    def __init__(self, kind: str, device: str) -> None:
        self._finder = MovenetFinder(device)
        self._single = MovenetSingle(kind, device)

    def estimate(
        self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool, most_mirrored: int = 0
    ) -> PoseEstimates:
        """Return COCO's 17 keypoints of everybody; arguments as for `Estimator.estimate`.

        Args:
            color: RGB image.
            boxes: Where people were a moment ago.
            find: Whether to look for people outside of the boxes, too.
            most_mirrored: Look at so many people mirrored, too; in a crowd the time goes to the people.
        """
        found = self._finder.find(color) if find else None
        boxes, sure = join_people(boxes_in_view(boxes, color), found)
        pixels, scores = self._single.place(color, boxes, mirror=len(boxes) <= most_mirrored)
        # Else their boxes would hold the other person too, and in the next image the network might see only that one.
        scores = np.where(foreign_joints(pixels, scores, MIN_SCORE), 0.0, scores)
        people = PoseEstimates.without_world(
            pixels=pixels,
            scores=scores,
            boxes=keypoint_boxes(pixels, scores, MIN_SCORE),
            person_scores=person_scores(scores, sure),
        )
        return people if found is None else _keep_apart(people, found, boxes)

    def warm_up(self) -> None:
        """Load and run what a camera needs."""
        self._finder.warm_up()
        self._single.warm_up()

    def load_all(self) -> None:
        """Load the networks for images of every shape."""
        self._finder.load_all()


def _keep_apart(people: PoseEstimates, found: PoseEstimates, boxes: FloatArray) -> PoseEstimates:
    """Give those who are half hidden behind somebody their own joints back.

    In the crop of such a person the network for single people often sees the one in front again. Multipose tells them
    apart, so its joints, though rougher, take the place of a pose that somebody else has already.

    Args:
        people: Poses in the boxes.
        found: What multipose found.
        boxes: Where the poses come from with shape (N, 4), px: each found person overlaps one of them.
    """
    kept = suppress_duplicates(people, MIN_SCORE, DUPLICATE_SIMILARITY)
    is_double = np.ones(len(people), bool)
    is_double[kept] = False
    if not is_double.any():
        return people
    owner = box_overlap(found.boxes, boxes).argmax(axis=1)
    is_other = (keypoint_similarity(found, people.select(kept), MIN_SCORE) < DUPLICATE_SIMILARITY).all(axis=1)
    lost = np.flatnonzero(is_double[owner] & is_other & (found.scores.mean(axis=1) > _MIN_LOST_SCORE))
    pixels, scores, confidences = people.pixels.copy(), people.scores.copy(), people.person_scores.copy()
    pixels[owner[lost]], scores[owner[lost]] = found.pixels[lost], found.scores[lost]
    confidences[owner[lost]] = person_scores(found.scores[lost], found.person_scores[lost])
    return PoseEstimates(pixels, scores, keypoint_boxes(pixels, scores, MIN_SCORE), confidences, people.world)


class MovenetSingleEstimator(Estimator):
    """Top-down: MoveNet multipose finds people, Thunder or Lightning places the joints of each."""

    topology = COCO_17

    def __init__(self, device: str, _: EstimationConfig | None = None, *, kind: str) -> None:
        """Load the networks.

        Args:
            device: auto, cuda or cpu.
            kind: `thunder` (256 px crops, accurate) or `lightning` (192 px crops, fast).
        """
        self._people = MovenetPeople(kind, device)

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        return self._people.estimate(color, boxes, find)

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        self._people.warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        self._people.load_all()

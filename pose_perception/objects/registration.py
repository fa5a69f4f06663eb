"""Finds the pose of a known object where something was seen: hypotheses, alignment, network, verification."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import FloatArray
from pose_perception.networks.runtime import Network
from pose_perception.objects.alignment import Alignment, SurfaceField, align
from pose_perception.objects.candidates import Candidates, Rough, different, fitting
from pose_perception.objects.crops import Observation
from pose_perception.objects.hypotheses import orientations, place
from pose_perception.objects.matcher import compare
from pose_perception.objects.model import ObjectModel
from pose_perception.objects.point_pairs import PointPairs, paired_poses
from pose_perception.objects.renderer import make_renderer
from pose_perception.objects.scoring import merit_of
from pose_perception.objects.verification import Evidence, glance, verify

LEAST_POINTS = 30
# Points farther than this from the middle of a hypothesis, in radii, are not of the object.
REACH = 1.15
# Poses from pairs of points that are looked at for each that is tried.
_DRAWN = 80
_COARSE_PX, _FINE_PX = 40, 80
# Width of the robust weights in the end: the noise of depth at arm's length, metres.
_LAST_WIDTH_M = 0.004


@dataclass(frozen=True)
class RegistrationConfig(Config):
    """How thoroughly poses are searched for."""

    turns: int = option(4, "Turns in the image that each of 42 views is tried with.", minimum=1, maximum=36)
    pairs: int = option(
        24,
        "Hypotheses from pairs of points that are tried beside those of all views; 0: none.",
        minimum=0,
        maximum=1000,
    )
    points: int = option(300, "Observed points that all hypotheses are aligned with.", minimum=50, maximum=5000)
    fine_points: int = option(
        1500, "Observed points that the best hypotheses are aligned with.", minimum=50, maximum=20000
    )
    coarse_steps: int = option(12, "Steps of the first alignment.", minimum=1, maximum=100)
    fine_steps: int = option(6, "Steps of each later alignment.", minimum=1, maximum=100)
    kept: int = option(10, "Different hypotheses that go on after the first verification.", minimum=1, maximum=200)
    expanded: int = option(3, "How many of them are also turned by what the shape hardly shows.", minimum=0, maximum=50)
    compared: int = option(96, "Hypotheses that the network compares, at most.", minimum=1, maximum=1000)
    places: int = option(3, "Places at which a search is brought to its end.", minimum=1, maximum=20)
    finalists: int = option(8, "Hypotheses that are refined to the end.", minimum=1, maximum=100)


class SearchedModel:
    """A model with what the search for it needs on one device.

    Args:
        model: The model.
        device: Where it is rendered; see `renderer.make_renderer`.
        turns: See `RegistrationConfig.turns`.
    """

    def __init__(self, model: ObjectModel, device: str = "cpu", turns: int = RegistrationConfig().turns) -> None:
        self.model = model
        self.renderer = make_renderer(model.surface, device)
        self.field = SurfaceField(model.points, model.normals, model.center, model.radius, model.is_sheet)
        self._turns = turns

    @cached_property
    def orientations(self) -> FloatArray:
        """Orientations to try, shape (N, 3, 3)."""
        return orientations(self.model.symmetries.alike, turns=self._turns)

    @cached_property
    def pairs(self) -> PointPairs:
        """Pairs of its points."""
        model = self.model
        return PointPairs(model.points, model.normals, model.diameter, model.is_sheet)


class Registration:
    """Finds poses from nothing.

    Args:
        network: The pose matcher.
        config: How thoroughly.
    """

    def __init__(self, network: Network, config: RegistrationConfig) -> None:
        self._network = network
        self.config = config

    def warm_up(self) -> None:
        """Run the network once at every batch size."""
        self._network.warm_up()

    def register(
        self, searched: SearchedModel, seen: Observation, points: FloatArray, mask: Observation | None
    ) -> Candidates | None:
        """Find a model among observed points.

        Args:
            searched: What to look for.
            seen: The image.
            points: Observed points that are mostly of the object, camera frame, shape (M, 3), metres.
            mask: See `verification.verify`.

        Returns:
            The best candidates, or None when there are too few points.
        """
        rough = self.propose(searched, seen, points, mask)
        return None if rough is None else self.finish(searched, seen, rough, points, mask)

    def propose(
        self, searched: SearchedModel, seen: Observation, points: FloatArray, mask: Observation | None
    ) -> Rough | None:
        """Return different hypotheses that fit the depth, best first; arguments as for `register`."""
        config, model = self.config, searched.model
        if len(points) < LEAST_POINTS:
            return None
        few = _some(points, config.points)
        start = place(searched.orientations, model.points[::8], model.normals[::8], few)
        widths = model.radius * np.geomspace(0.5, 0.06, config.coarse_steps)
        poses = align(searched.field, start, few, widths).camera_from_object
        paired = self._paired(searched, seen, points, mask)
        if len(paired):
            poses = np.concatenate([poses, self._aligned(searched, paired, few)])
        evidence = self._verify(searched, poses, seen, mask, _COARSE_PX, color=False)
        kept = fitting(poses, evidence, model, config.kept)
        return Rough(poses[kept], evidence.score[kept])

    def finish(
        self,
        searched: SearchedModel,
        seen: Observation,
        rough: Rough,
        points: FloatArray,
        mask: Observation | None,
    ) -> Candidates:
        """Bring proposed hypotheses to their end; arguments and result as for `register`."""
        config = self.config
        many = _some(points, config.fine_points)
        poses = self._expanded(searched, rough.camera_from_object, _some(points, config.points))
        first_width = max(0.05 * searched.model.radius, 1.5 * _LAST_WIDTH_M)
        widths = np.geomspace(first_width, _LAST_WIDTH_M, config.fine_steps)
        first, moved = self._weigh(
            searched, seen, align(searched.field, poses, _some(points, 2 * config.points), widths), mask
        )
        best = different(first.camera_from_object, searched.model, config.finalists)
        # The network moves what the shape leaves open; where it errs, the hypothesis as it was is better.
        both = np.concatenate([first.camera_from_object[best], moved[best]])
        last, _ = self._weigh(
            searched, seen, align(searched.field, both, many, widths[-config.fine_steps // 2 :]), mask
        )
        return last

    def follow(self, searched: SearchedModel, seen: Observation, pose: FloatArray, points: FloatArray) -> Candidates:
        """Refine one pose that is nearly right; arguments and result as for `register`."""
        config, model = self.config, searched.model
        few, many = _some(points, config.points), _some(points, config.fine_points)
        coarse = np.geomspace(max(0.1 * model.radius, 3 * _LAST_WIDTH_M), 2 * _LAST_WIDTH_M, config.fine_steps)
        start = align(searched.field, pose[None], few, coarse).camera_from_object
        moved = compare(self._network, searched.renderer, start, model.center, model.radius, seen).camera_from_object
        both = np.concatenate([start, moved])
        last, _ = self._weigh(
            searched, seen, align(searched.field, both, many, np.geomspace(2, 1, 3) * _LAST_WIDTH_M), None
        )
        return last.select(different(last.camera_from_object, model, len(both)))

    def accept(self, searched: SearchedModel, seen: Observation, poses: FloatArray) -> FloatArray:
        """Return the network's logits that N hypotheses are right, wherever the others are, shape (N,)."""
        model = searched.model
        return compare(self._network, searched.renderer, poses, model.center, model.radius, seen).accept

    def merits(self, searched: SearchedModel, seen: Observation, poses: FloatArray) -> FloatArray:
        """Return by what N poses are compared with each other, shape (N,); see `scoring.merit_of`."""
        model = searched.model
        judged = compare(self._network, searched.renderer, poses, model.center, model.radius, seen)
        return merit_of(judged.rank, judged.accept, self._verify(searched, poses, seen, None, _FINE_PX, color=True))

    def evidence(self, searched: SearchedModel, seen: Observation, poses: FloatArray) -> Evidence:
        """Return what speaks for and against N hypotheses, without colours."""
        return self._verify(searched, poses, seen, None, _COARSE_PX, color=False)

    def _weigh(
        self, searched: SearchedModel, seen: Observation, aligned: Alignment, mask: Observation | None
    ) -> tuple[Candidates, FloatArray]:
        """Return hypotheses with all that speaks for and against them, best first, and where the network moves each."""
        model, poses = searched.model, aligned.camera_from_object
        judged = compare(self._network, searched.renderer, poses, model.center, model.radius, seen)
        evidence = self._verify(searched, poses, seen, mask, _FINE_PX, color=True)
        merit = merit_of(judged.rank, judged.accept, evidence)
        found = Candidates(poses, merit, judged.rank, judged.accept, evidence, aligned.information, aligned.residual)
        order = np.argsort(-merit)
        return found.select(order), judged.camera_from_object[order]

    def _paired(
        self, searched: SearchedModel, seen: Observation, points: FloatArray, mask: Observation | None
    ) -> FloatArray:
        """Return hypotheses from pairs of points, shape (N, 4, 4): those of many that seem right at a glance."""
        model, count = searched.model, self.config.pairs
        if count == 0:
            return np.empty((0, 4, 4))
        poses = paired_poses(searched.pairs, seen, points, model.radius, _DRAWN * count)
        order = np.argsort(-glance(poses, model.points, model.normals, model.radius, seen, mask, model.is_sheet))
        first = poses[order[: 4 * count]]
        return first[different(first, model, count)]

    def _aligned(self, searched: SearchedModel, poses: FloatArray, points: FloatArray) -> FloatArray:
        widths = searched.model.radius * np.geomspace(0.15, 0.05, 4)
        return align(searched.field, poses, points, widths).camera_from_object

    @staticmethod
    def _verify(
        searched: SearchedModel,
        poses: FloatArray,
        seen: Observation,
        mask: Observation | None,
        size: int,
        color: bool,
    ) -> Evidence:
        model = searched.model
        return verify(searched.renderer, poses, model.center, model.radius, seen, mask, size, color)

    def _expanded(self, searched: SearchedModel, poses: FloatArray, points: FloatArray) -> FloatArray:
        """Add to hypotheses, best first, what they become by motions that the shape hardly shows."""
        alike = searched.model.symmetries.alike[1:]
        config = self.config
        if len(alike) == 0 or config.expanded == 0:
            return poses
        count = max(1, min(config.expanded, (config.compared - len(poses)) // len(alike)))
        more = (poses[:count, None] @ alike[None]).reshape(-1, 4, 4)[: config.compared]
        return np.concatenate([poses, self._aligned(searched, more, points)])


def _some(points: FloatArray, count: int) -> FloatArray:
    return points[np.random.default_rng(0).permutation(len(points))[:count]]


def points_around(
    depth: npt.NDArray[np.float32], intrinsics: FloatArray, middle: FloatArray, radius: float
) -> FloatArray:
    """Return what was measured within a sphere.

    Args:
        depth: Shape (H, W), metres; 0 where there is none.
        intrinsics: fx, fy, cx, cy.
        middle: Of the sphere, camera frame, shape (3,), metres.
        radius: Of the sphere, metres.

    Returns:
        Points in the camera frame with shape (M, 3), metres.
    """
    fx, fy, cx, cy = intrinsics
    half_u, half_v = radius * fx / middle[2], radius * fy / middle[2]
    u, v = fx * middle[0] / middle[2] + cx, fy * middle[1] / middle[2] + cy
    left, right = (int(np.clip(x, 0, depth.shape[1])) for x in (u - half_u, u + half_u + 1))
    top, bottom = (int(np.clip(x, 0, depth.shape[0])) for x in (v - half_v, v + half_v + 1))
    # Not more than some ten thousand points are looked at.
    step = max(1, int(np.sqrt((right - left) * (bottom - top) / 10_000)))
    area = depth[top:bottom:step, left:right:step]
    rows, columns = np.nonzero((area > middle[2] - radius) & (area < middle[2] + radius))
    z = area[rows, columns].astype(np.float64)
    points = np.stack([(left + columns * step - cx) / fx * z, (top + rows * step - cy) / fy * z, z], axis=1)
    return points[np.linalg.norm(points - middle, axis=1) < radius]


def masked_points(
    mask: npt.NDArray[np.bool_], depth: npt.NDArray[np.float32], intrinsics: FloatArray, radius: float
) -> FloatArray:
    """Return what was measured within a mask, without its border and what is far from its median depth.

    Args:
        mask: Shape (H, W), bool.
        depth: Shape (H, W), metres; 0 where there is none.
        intrinsics: fx, fy, cx, cy.
        radius: Of the object, metres.

    Returns:
        Points in the camera frame with shape (M, 3), metres.
    """
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    inner = eroded if eroded.sum() >= 0.3 * mask.sum() else mask
    v, u = np.nonzero(inner & (depth > 0))
    z = depth[v, u].astype(np.float64)
    fx, fy, cx, cy = intrinsics
    points = np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], axis=1)
    return points[np.abs(z - np.median(z)) < 1.2 * radius] if len(z) else points

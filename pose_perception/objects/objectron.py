"""Categories without a mesh: cups, chairs, shoes and cameras, by MediaPipe Objectron's networks and depth.

Ahmadyan et al., Objectron: A Large Scale Dataset of Object-Centric Videos in the Wild with Pose Annotations, CVPR 2021.
A detector finds them in the image, a network for each category finds the nine points of a box in the region around
each, the box is fitted to these points up to scale, and depth gives the scale. Without depth a size that is usual for
the category gives it, with the uncertainty that this has and a lower score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_perception.config import Config, option
from pose_perception.datatypes import CameraIntrinsics, FloatArray, RgbdFrame
from pose_perception.errors import ConfigurationError
from pose_perception.networks.runtime import Network, load_network
from pose_perception.objects.datatypes import ObjectRegion
from pose_perception.objects.objectron_boxes import SIGNS, UnitBox, fit_box
from pose_perception.objects.objectron_detector import LABELS, Detection, find_boxes, overlaps
from pose_perception.objects.objectron_scale import Scale, scale_from_depth

_SIZE = 224
# Side of the square region over the longer side of the box (RectTransformationCalculator).
_REGION_SCALE = 1.5
# Two detections of which the networks make the same box are one object.
_SAME = 0.5
# Standard deviation of a point, and the largest error of a good fit, in parts of the region's side. No labelled
# pictures were at hand to measure these and what follows.
_POINT_SIGMA, _GOOD_FIT = 0.02, 0.03
# From where on depth, and the box in the image that the region was made from, agree well with the box in space.
_GOOD_SUPPORT, _GOOD_OVERLAP = 0.5, 0.6
_NO_DEPTH, _ODD_SIZE = 0.5, 0.2
# What stays doubtful where everything agrees: sizes of real cups were seen to be wrong by up to a half.
_TRUST = 0.6
# The networks are wrong for all points of a box together, which the fit cannot see: standard deviations of the centre
# in diagonals of the box (half of what its sides are wrong by), and of its axes, radians.
_CENTER_SIGMA, _TURN_SIGMA = 0.12, 0.09
# Nothing of these categories is longer than so many times its shortest side.
_LONGEST_OVER_SHORTEST = 8.0
_TURN_VARIANCE = np.pi**2 / 3  # of an angle that may be any
_UNIT_CAMERA = CameraIntrinsics(10, 10, 10.0, 10.0, 0.0, 0.0)

CATEGORIES = tuple(LABELS)
SYMMETRIC = frozenset({"cup"})
"""Those whose turn about the upright axis means nothing."""
_LONGEST_SIDE_M = {"cup": (0.05, 0.25), "chair": (0.5, 1.8), "shoe": (0.1, 0.4), "camera": (0.05, 0.4)}
"""The longest side of anything of the category."""


@dataclass(frozen=True)
class ObjectronConfig(Config):
    """How categories are found."""

    categories: str = option(
        "", f"What to look for without a mesh, separated by commas, of {', '.join(CATEGORIES)}; empty: nothing."
    )
    detection_threshold: float = option(
        0.5, "Detections below this confidence are not looked at.", minimum=0.05, maximum=1.0
    )
    presence_threshold: float = option(
        0.99, "Regions in which the network for the points is less sure are dropped.", minimum=0.0, maximum=1.0
    )
    max_objects: int = option(5, "At most so many regions are looked at in a frame.", minimum=1, maximum=100)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.names if name not in CATEGORIES]
        if unknown:
            raise ConfigurationError(f"{unknown[0]!r} is no category; known: {', '.join(CATEGORIES)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The categories, each once."""
        words = (word.strip() for word in self.categories.split(","))
        return tuple(dict.fromkeys(word for word in words if word))


class CategoryBox(NamedTuple):
    """An object of a category in one image.

    Attributes:
        category: One of `CATEGORIES`.
        score: Product of what detector, network and geometry say, 0 to 1; not calibrated.
        outline: (x0, y0, x1, y1) around its points with shape (4,), px.
        camera_from_object: Pose of the box's centre, y upwards, shape (4, 4), metres.
        covariance: As in `ObjectPose`, shape (6, 6).
        size: Along the axes of the box, shape (3,), metres.
        has_depth: Whether the scale was measured.
        claim: Confidence of whoever said that it is there, 0 to 1.
        region: Where the detector, or who gave regions, said that it is: (x0, y0, x1, y1) with shape (4,), px; None
            where only earlier frames said so.
    """

    category: str
    score: float
    outline: FloatArray
    camera_from_object: FloatArray
    covariance: FloatArray
    size: FloatArray
    has_depth: bool
    claim: float = 1.0
    region: FloatArray | None = None


class _Candidate(NamedTuple):
    detection: Detection
    mask: npt.NDArray[np.bool_] | None = None
    is_expected: bool = False


class ObjectronFinder:
    """Finds objects of some categories in single frames.

    Args:
        config: What is wanted.
        device: auto, cuda or cpu.

    Raises:
        WeightsError: a weight file is missing or altered.
        DeviceError: the requested device is not there.
    """

    def __init__(self, config: ObjectronConfig, device: str) -> None:
        self._config = config
        self._detector = load_network("objectron_detector", device) if config.names else None
        self._networks: dict[str, Network] = {name: load_network(f"objectron_{name}", device) for name in config.names}

    def warm_up(self) -> None:
        """Run the networks once, so that the first images take no longer than the others."""
        for network in (self._detector, *self._networks.values()):
            if network is not None:
                network.warm_up(1)
        # What the fit imports takes longer than the networks.
        fit_box(np.vstack([np.zeros(2), SIGNS[:, :2] * (1.0 + 0.1 * SIGNS[:, 2:])]), _UNIT_CAMERA, 1.0)

    def find(
        self,
        frame: RgbdFrame,
        regions: Sequence[ObjectRegion] | None = None,
        expected: Sequence[Detection] = (),
    ) -> list[CategoryBox]:
        """Return the objects in a frame by falling score.

        Args:
            frame: Image, depth and camera.
            regions: Where to look, instead of the detector; those of models that are no category are not looked at.
            expected: Where objects should be by what earlier frames showed; looked at where nothing else says so.
        """
        if self._detector is None:
            return []
        candidates = self._detect(frame) if regions is None else self._from_regions(regions)
        candidates += self._not_covered(expected, candidates)
        found = [self._look(frame, candidate) for candidate in candidates[: self._config.max_objects]]
        boxes = sorted((box for box in found if box is not None), key=lambda box: -box.score)
        kept: list[CategoryBox] = []
        for box in boxes:
            if not kept or overlaps(box.outline, np.array([other.outline for other in kept])).max() <= _SAME:
                kept.append(box)
        return kept

    def _detect(self, frame: RgbdFrame) -> list[_Candidate]:
        thresholds = dict.fromkeys(self._networks, self._config.detection_threshold)
        return [_Candidate(found) for found in find_boxes(self._detector, frame.color, thresholds)]

    def _not_covered(self, expected: Sequence[Detection], others: Sequence[_Candidate]) -> list[_Candidate]:
        candidates = []
        for detection in expected:
            same = [other.detection.box for other in others if other.detection.category == detection.category]
            covered = (overlaps(detection.box, np.reshape(same, (-1, 4))) > _SAME / 2).any()
            if detection.category in self._networks and not covered:
                candidates.append(_Candidate(detection, is_expected=True))
        return candidates

    def _from_regions(self, regions: Sequence[ObjectRegion]) -> list[_Candidate]:
        candidates = []
        for region in regions:
            rows, columns = np.flatnonzero(region.mask.any(axis=1)), np.flatnonzero(region.mask.any(axis=0))
            if not len(rows):
                continue
            box = np.array([columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5])
            names = self._networks if region.model is None else [n for n in self._networks if n == region.model]
            candidates += [_Candidate(Detection(name, region.score, box), region.mask) for name in names]
        return candidates

    def _look(self, frame: RgbdFrame, candidate: _Candidate) -> CategoryBox | None:
        """Return the object in a region; None where its network sees none, or no box fits to the points."""
        category, score, around = candidate.detection
        side = _REGION_SCALE * float((around[2:] - around[:2]).max())
        if not side > 1.0:
            return None
        points, presence = _points(self._networks[category], frame.color, around, side)
        if presence < self._config.presence_threshold:
            return None
        box = fit_box(points, frame.camera, _POINT_SIGMA * side)
        if box is None:
            return None
        scale = None
        if frame.depth is not None:
            scale = scale_from_depth(box, frame.depth, frame.camera, candidate.mask)
        outline = np.concatenate([points[1:].min(axis=0), points[1:].max(axis=0)])
        score *= _TRUST * presence * min(1.0, _GOOD_FIT * side / max(box.error_px, 1e-9))
        score *= min(1.0, float(overlaps(around, outline[None])[0]) / _GOOD_OVERLAP)
        region = None if candidate.is_expected else around
        placed = place_box(category, score, outline, box, scale)
        return placed._replace(claim=candidate.detection.score, region=region)


def place_box(category: str, score: float, outline: FloatArray, box: UnitBox, scale: Scale | None) -> CategoryBox:
    """Give a box its size.

    Args:
        category: One of `CATEGORIES`.
        score: Confidence without the geometry, 0 to 1.
        outline: Around its points in the image with shape (4,), px.
        box: Known up to scale.
        scale: Depth of its centre; None where that was not measured.
    """
    low, high = _LONGEST_SIDE_M[category]
    longest = float(box.size.max())
    if longest > _LONGEST_OVER_SHORTEST * box.size.min():
        score *= _ODD_SIZE
    if scale is None:
        # Any size of the category, uniform in its logarithm.
        depth = float(np.sqrt(low * high)) / longest
        scale = Scale(depth, float(depth * np.log(high / low) / np.sqrt(12)), 1.0)
        score, has_depth = score * _NO_DEPTH, False
    else:
        is_odd = not low <= scale.depth * longest <= high
        score *= min(1.0, scale.support / _GOOD_SUPPORT) * (_ODD_SIZE if is_odd else 1.0)
        has_depth = True
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = box.rotation, scale.depth * box.center
    covariance = _covariance(box, scale)
    if category in SYMMETRIC:
        upright = box.rotation[:, 1]
        covariance[3:, 3:] += _TURN_VARIANCE * np.outer(upright, upright)
    return CategoryBox(category, float(score), outline, pose, covariance, scale.depth * box.size, has_depth)


def _points(
    network: Network, color: npt.NDArray[np.uint8], around: FloatArray, side: float
) -> tuple[FloatArray, float]:
    """Return nine points with shape (9, 2), px of the image, and the confidence that the object is there."""
    corner = (around[:2] + around[2:]) / 2 - side / 2
    factor = side / _SIZE
    image_from_crop = np.array([[factor, 0, corner[0]], [0, factor, corner[1]]])
    crop = cv2.warpAffine(
        color,
        image_from_crop,
        (_SIZE, _SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    outputs = network(crop[None])
    points = outputs["landmarks"].reshape(9, 2).astype(np.float64)
    return points * factor + corner, float(outputs["presence"].reshape(-1)[0])


def _covariance(box: UnitBox, scale: Scale) -> FloatArray:
    """Return the covariance of position and rotation, shape (6, 6)."""
    spread = np.zeros((6, 5))
    spread[0, 0] = spread[1, 1] = scale.depth
    spread[3:, 2:] = np.eye(3)
    covariance = spread @ box.covariance[:5, :5] @ spread.T
    covariance[:3, :3] += scale.sigma**2 * np.outer(box.center, box.center)
    covariance[:3, :3] += (_CENTER_SIGMA * scale.depth * np.linalg.norm(box.size)) ** 2 * np.eye(3)
    covariance[3:, 3:] += _TURN_SIGMA**2 * np.eye(3)
    # A turn that the points leave open is not more uncertain than any turn.
    values, axes = np.linalg.eigh(covariance[3:, 3:])
    if values[-1] > _TURN_VARIANCE:
        shrink = np.eye(6)
        shrink[3:, 3:] = axes @ np.diag(np.sqrt(np.minimum(1.0, _TURN_VARIANCE / np.maximum(values, 1e-18)))) @ axes.T
        covariance = shrink @ covariance @ shrink.T
    return (covariance + covariance.T) / 2

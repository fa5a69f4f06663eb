"""Pose networks that users bring as ONNX files: RTMPose, RTMO, ViTPose and YOLO."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pose_perception.datatypes import FloatArray, PoseEstimates
from pose_perception.human.estimators.base import (
    MIN_SCORE,
    EstimationConfig,
    Estimator,
    boxes_in_view,
    join_people,
    keypoint_boxes,
    person_scores,
)
from pose_perception.human.estimators.movenet_finder import MovenetFinder
from pose_perception.human.estimators.onnx_crops import cut_people, frame_people, letterbox
from pose_perception.human.estimators.onnx_families import CropFamily, PictureFamily, check_results, recognise
from pose_perception.human.topology import COCO_17
from pose_perception.networks.onnx_file import OnnxFile
from pose_perception.networks.runtime import Network

_KEYPOINTS = len(COCO_17)
# Side of a person's crop over that of the box (mmpose, GetBBoxCenterScale, padding), and the grey around whole pictures
# (mmpose, pad_val of RTMO; Ultralytics, LetterBox).
_PADDING = 1.25
_GREY = 114


class OnnxEstimator(Estimator):
    """Runs the network of `EstimationConfig.network_file`, whose keypoints begin with COCO's 17.

    RTMPose and ViTPose look at people that the caller knows or MoveNet multipose finds; RTMO and YOLO see the picture.
    """

    topology = COCO_17

    def __init__(self, device: str, config: EstimationConfig) -> None:
        """Load the network for `device` (auto, cuda or cpu) and run it once.

        Raises:
            ConfigurationError: there is no such file.
            UnsupportedNetworkError: it is no ONNX file, or its network is of no known kind.
            DeviceError: the device is not there.
        """
        self._device = device
        self._file = OnnxFile(config.network_file)
        self._family, self._order = recognise(self._file, config.decoding)
        self._sizes = (self._file.input_size,) if self._file.input_size else self._family.sizes
        self._networks: dict[tuple[int, int], Network] = {}
        self._finder = MovenetFinder(device) if isinstance(self._family, CropFamily) else None
        self._try()

    def estimate(self, color: npt.NDArray[np.uint8], boxes: FloatArray, find: bool) -> PoseEstimates:
        """See `Estimator.estimate`."""
        if isinstance(self._family, PictureFamily):
            return self._estimate_picture(self._family, color)
        found = self._finder.find(color) if find else None
        boxes, sure = join_people(boxes_in_view(boxes, color), found)
        return self._estimate_people(self._family, color, boxes, sure)

    def warm_up(self) -> None:
        """See `Estimator.warm_up`."""
        if self._finder is not None:
            self._finder.warm_up()
        self._network(self._sizes[0]).warm_up()

    def load_all(self) -> None:
        """See `Estimator.load_all`."""
        if self._finder is not None:
            self._finder.load_all()
        for size in self._sizes:
            self._network(size)

    def _estimate_people(
        self, family: CropFamily, color: npt.NDArray[np.uint8], boxes: FloatArray, sure: FloatArray
    ) -> PoseEstimates:
        if len(boxes) == 0:
            nothing = np.empty((0, _KEYPOINTS, 2))
            return PoseEstimates.without_world(nothing, nothing[..., 0], np.empty((0, 4)), np.empty(0))
        size = self._sizes[0]
        crops = frame_people(boxes, size, _PADDING, family.outer_pixels)
        poses = family.decode(self._run(size, cut_people(color, crops, size)), size)
        pixels = crops.to_picture(poses.pixels)
        return PoseEstimates.without_world(
            pixels, poses.scores, keypoint_boxes(pixels, poses.scores, MIN_SCORE), person_scores(poses.scores, sure)
        )

    def _estimate_picture(self, family: PictureFamily, color: npt.NDArray[np.uint8]) -> PoseEstimates:
        height, width = color.shape[:2]
        # The input that the picture fills best.
        size = max(self._sizes, key=lambda s: min(s[0] / height, s[1] / width) ** 2 / (s[0] * s[1]))
        image, place = letterbox(color, size, _GREY)
        poses = family.decode(self._run(size, image))
        corners = place.to_picture(poses.boxes.reshape(1, -1, 2)).reshape(-1, 4)
        boxes = np.clip(corners, 0, [width, height, width, height])
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        people = PoseEstimates.without_world(
            place.to_picture(poses.pixels.reshape(1, -1, 2)).reshape(-1, _KEYPOINTS, 2),
            poses.scores,
            boxes,
            poses.person_scores,
        )
        return people.select(inside)

    def _try(self) -> None:
        """Run the network once: one that cannot is refused here rather than at the first image."""
        size = self._sizes[0]
        results = self._network(size)(np.zeros((1, *size, 3), np.uint8))
        check_results(self._file.name, [(name, value.shape) for name, value in results.items()], self._family, size)

    def _run(self, size: tuple[int, int], images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        results = list(self._network(size)(images).values())
        return [results[i] for i in self._order]

    def _network(self, size: tuple[int, int]) -> Network:
        if size not in self._networks:
            # The graphs of whole-picture networks compute pixels, for which bfloat16 is too coarse.
            precision = "fast" if isinstance(self._family, CropFamily) else "exact"
            self._networks[size] = self._file.load(size, self._family.encoding, self._device, precision)
        return self._networks[size]

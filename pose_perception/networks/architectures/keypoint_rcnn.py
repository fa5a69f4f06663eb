"""Keypoint R-CNN: torchvision's with ResNet-50, and a light one of the same parts on the maps of a MobileNetV3 FPN.

He et al., Mask R-CNN, 2017. A network proposes regions, and heads look at each: is this a person, where exactly, where
is each of the 17 keypoints (a softmax over 56 x 56 cells), which pixels belong to it. Parts, losses and the names of
the weights are those of `torchvision.models.detection`; the decoding of the keypoints is that of
`architectures.keypoint_heatmaps`. The light network finds and outlines people on the maps of a MobileNetV3 that was
trained to find objects; its keypoint head takes those of MoveNet, which was trained to find joints.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import KeypointRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, paste_masks_in_image
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from pose_perception.errors import WeightsError
from pose_perception.networks.architectures.keypoint_heatmaps import decode_heatmaps

TRUNKS = ("centernet_mobilenet_v3", "movenet_parts")
"""The networks of the catalogue whose maps the light one takes: one that knows objects, and one that knows joints."""
_CHANNELS = {"stride_4": 128, "stride_8": 192, "stride_16": 256, "stride_32": 480}
_PARTS, _PARTS_CHANNELS = "parts", 96

_KEYPOINTS = 17
_CLASSES = 2  # nobody, person
# Width of the light network's maps and heads; torchvision's has 256, 1024, 512 and 256.
_WIDTH, _BOX_WIDTH, _KEYPOINT_WIDTHS, _MASK_WIDTHS = 64, 512, (96, 96, 96), (64, 64)
# Two anchors a shape and level, px of the input; height over width: sitting, standing, standing sideways.
_ANCHOR_SIZES = ((28, 40), (56, 80), (112, 160), (224, 340))
_ANCHOR_SHAPES = (0.7, 1.4, 2.8)
_MOST_REASONS, _MOST_CHARACTERS = 3, 150
_MASK_KEY = "roi_heads.mask_predictor.mask_fcn_logits.weight"
Maps = Mapping[str, Tensor]


class Findings(NamedTuple):
    """P people in one image, px of the network input.

    Attributes:
        boxes: (x0, y0, x1, y1) with shape (P, 4).
        scores: Probability that each is a person, shape (P,).
        keypoints: COCO's 17 with shape (P, 17, 2).
        keypoint_scores: As `decode_heatmaps` returns them, shape (P, 17).
        masks: Probability that a pixel belongs to the person, shape (P, height, width); None when not asked for.
    """

    boxes: Tensor
    scores: Tensor
    keypoints: Tensor
    keypoint_scores: Tensor
    masks: Tensor | None


class Rcnn(Protocol):
    """What both networks have in common."""

    rpn: RegionProposalNetwork
    roi_heads: RoIHeads


class LightHeads(RoIHeads):
    """RoI heads that can learn from pictures without masks."""

    learns_masks = True

    def has_mask(self) -> bool:
        """Return whether the masks are computed; when off, the losses leave them out."""
        return self.learns_masks and super().has_mask()


class LightKeypointRcnn(nn.Module):
    """Pyramid, region proposals and heads on the maps of two frozen trunks."""

    def __init__(self) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(list(_CHANNELS.values()), _WIDTH, LastLevelMaxPool())
        self.parts = nn.Conv2d(_PARTS_CHANNELS, _WIDTH, 1)
        anchors = AnchorGenerator(_ANCHOR_SIZES, (_ANCHOR_SHAPES,) * len(_ANCHOR_SIZES))
        self.rpn = RegionProposalNetwork(
            anchors,
            RPNHead(_WIDTH, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=128,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 300, "testing": 300},
            post_nms_top_n={"training": 100, "testing": 100},
            nms_thresh=0.7,
        )
        self.roi_heads = LightHeads(
            MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2),
            TwoMLPHead(_WIDTH * 7 * 7, _BOX_WIDTH),
            FastRCNNPredictor(_BOX_WIDTH, _CLASSES),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            # Few regions a picture and many pictures teach most in the same time.
            batch_size_per_image=48,
            positive_fraction=1 / 6,
            bbox_reg_weights=None,
            score_thresh=0.05,
            nms_thresh=0.5,
            detections_per_img=50,
            mask_roi_pool=MultiScaleRoIAlign(["0", "1", "2", "3"], 14, 2),
            mask_head=MaskRCNNHeads(_WIDTH, _MASK_WIDTHS, 1),
            mask_predictor=MaskRCNNPredictor(_MASK_WIDTHS[-1], _MASK_WIDTHS[-1], _CLASSES),
            keypoint_roi_pool=MultiScaleRoIAlign(["parts_4", "parts_8", "parts_16"], 14, 2),
            keypoint_head=KeypointRCNNHeads(_WIDTH, _KEYPOINT_WIDTHS),
            keypoint_predictor=KeypointRCNNPredictor(_KEYPOINT_WIDTHS[-1], _KEYPOINTS),
        )

    def pyramid(self, maps: Maps) -> OrderedDict[str, Tensor]:
        """Return the levels from the results of both trunks, all (N, C, H, W).

        For keypoints these are "parts_4" to "parts_16", for all else "0" to "3" (strides 4 to 32) and "pool" (64).
        """
        parts = self.parts(maps[_PARTS])
        levels = OrderedDict(parts_4=parts)
        levels["parts_8"] = functional.avg_pool2d(parts, 2)
        levels["parts_16"] = functional.avg_pool2d(parts, 4)
        levels.update(self.fpn(OrderedDict((str(i), maps[name]) for i, name in enumerate(_CHANNELS))))
        return levels

    def losses(self, maps: Maps, size: tuple[int, int], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return torchvision's losses of a batch.

        Args:
            maps: Results of the trunks for N pictures, (N, C, H, W).
            size: (height, width) of the pictures, px.
            targets: For each picture `boxes` (P, 4) px, `labels` (P,), `keypoints` (P, 17, 3) as x, y, and whether it
                is labelled, and `masks` (P, H, W) where they are learnt.
        """
        levels = self.pyramid(maps)
        images = _images(levels["0"], size)
        proposals, losses = self.rpn(images, proposal_levels(self, levels), targets)
        _, more = self.roi_heads(levels, proposals, images.image_sizes, targets)
        return {**losses, **more}


@torch.inference_mode()
def look(
    network: Rcnn,
    levels: OrderedDict[str, Tensor],
    size: tuple[int, int],
    boxes: Tensor,
    find: bool = True,
    masks: bool = False,
) -> Findings:
    """Run proposals and heads on one image.

    Args:
        network: Either of the two, in evaluation mode.
        levels: Its pyramid for the image, each (1, C, H, W).
        size: (height, width) of the network input, px.
        boxes: Where people are known to be, shape (N, 4), px; the first N findings are those.
        find: Whether to look for more people; overlapping ones are suppressed, also those of known boxes.
        masks: Whether masks are wanted.
    """
    heads = network.roi_heads
    images = _images(levels["0"], size)
    known = boxes.to(levels["0"])
    proposals = network.rpn(images, proposal_levels(network, levels))[0] if find else [known[:0]]
    regions = [torch.cat([known, proposals[0]])]
    logits, regression = heads.box_predictor(heads.box_head(heads.box_roi_pool(levels, regions, images.image_sizes)))
    count = len(known)
    found, scores, _ = heads.postprocess_detections(logits[count:], regression[count:], proposals, images.image_sizes)
    people = torch.cat([known, found[0]])
    scores = torch.cat([logits[:count].softmax(1)[:, 1], scores[0]])
    if len(people) == 0:  # torchvision's pooling does not take none
        empty = people.new_zeros((0, _KEYPOINTS, 2))
        return Findings(people, scores, empty, empty[..., 0], people.new_zeros((0, *size)) if masks else None)
    maps = heads.keypoint_roi_pool(levels, [people], images.image_sizes)
    keypoints, keypoint_scores = decode_heatmaps(heads.keypoint_predictor(heads.keypoint_head(maps)), people)
    wanted = _masks(heads, levels, people, images.image_sizes) if masks else None
    return Findings(people, scores, keypoints, keypoint_scores, wanted)


def proposal_levels(network: Rcnn, levels: OrderedDict[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Return the levels on which a network proposes regions: the last ones, as many as it has anchor sizes."""
    return OrderedDict(list(levels.items())[-len(network.rpn.anchor_generator.sizes) :])


def read_published(path_or_content: str | bytes) -> KeypointRCNN:
    """Return torchvision's Keypoint R-CNN ResNet-50 FPN with the weights of a checkpoint.

    The checkpoint must hold exactly the tensors of that network, under the names of any version of torchvision; it may
    also hold those of a mask head, as torchvision's Mask R-CNN has it.

    Args:
        path_or_content: The file, or what it holds. Nothing in it is executed.

    Raises:
        WeightsError: it cannot be read, or is of another network.
    """
    what = path_or_content if isinstance(path_or_content, str) else "the checkpoint"
    file = path_or_content if isinstance(path_or_content, str) else io.BytesIO(path_or_content)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for files that are none of its own
        raise WeightsError(
            f"cannot read {what} as a PyTorch checkpoint of tensors only: {_first_line(error)}"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{what} must hold one tensor for each name (a state dict), nothing else")
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d)
    network = KeypointRCNN(backbone, _CLASSES, num_keypoints=_KEYPOINTS)
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0  # as it was when the published weights were trained (torchvision, overwrite_eps)
    if _MASK_KEY in state:
        width = network.backbone.out_channels
        network.roi_heads.mask_roi_pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 14, 2)
        network.roi_heads.mask_head = MaskRCNNHeads(width, (256, 256, 256, 256), 1)
        network.roi_heads.mask_predictor = MaskRCNNPredictor(256, 256, _CLASSES)
    _load_strictly(network, state, f"{what} is not of torchvision's keypointrcnn_resnet50_fpn")
    return network.eval()


def read_light(content: bytes) -> LightKeypointRcnn:
    """Return the light network with the weights of a safetensors file.

    Raises:
        WeightsError: the file is of another network.
    """
    from safetensors.torch import load

    network = LightKeypointRcnn()
    state = {name: value.float() for name, value in load(content).items()}
    _load_strictly(network, state, "these are not the weights of the light Keypoint R-CNN")
    return network.eval()


def _load_strictly(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Fill a network with exactly the tensors that it has.

    Raises:
        WeightsError: names or shapes differ; the message begins with `what` and says which.
    """
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        # PyTorch's first line says what it tried; each of the others one kind of difference, with all names.
        reasons = [line.strip()[:_MOST_CHARACTERS] for line in str(error).splitlines()[1:]]
        raise WeightsError(f"{what}: {' … '.join(reasons[:_MOST_REASONS])}") from error


def _masks(heads: RoIHeads, levels: OrderedDict[str, Tensor], people: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
    logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(levels, [people], sizes)))
    return paste_masks_in_image(logits[:, 1:].sigmoid(), people, sizes[0])[:, 0]


def _images(level: Tensor, size: tuple[int, int]) -> ImageList:
    """Return what torchvision wants to know of the images: their size; it reads no pixel any more."""
    count = len(level)
    return ImageList(level.new_empty(1).expand(count, 3, *size), [size] * count)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

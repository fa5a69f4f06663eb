"""The networks that this package knows: how their input is made and what their results mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from pose_perception.errors import ConfigurationError

if TYPE_CHECKING:
    from pose_perception.networks.importers.graph import Graph

_BLAZEPOSE = {
    "landmarks": "Identity",
    "presence": "Identity_1",
    "segmentation": "Identity_2",
    "heatmap": "Identity_3",
    "world": "Identity_4",
}
_HAND = {"landmarks": "Identity", "presence": "Identity_1", "handedness": "Identity_2", "world": "Identity_3"}
_DETECTOR = {"boxes": "Identity", "scores": "Identity_1"}
_OBJECTRON_DETECTOR = {"boxes": "raw_outputs/box_encodings", "scores": "raw_outputs/class_predictions"}
# Nine points with x and y, px of the crop.
_OBJECTRON = {"landmarks": "Identity_1", "presence": "Identity"}
_TENSORFLOW = "StatefulPartitionedCall/"
# The factor as the MoveNet graphs store it: 2/255 in float16.
_MOVENET_SCALE = 0.007843017578125
_SINGLE_POSE = {
    "center": "Sigmoid_1",
    "kpt_heatmap": "Sigmoid",
    "kpt_regress": "kpt_regress_0/conv2d_6/BiasAdd",
    "kpt_offset": "kpt_offset_0/conv2d_7/BiasAdd",
}
_MULTIPOSE = {
    "center": "Sigmoid",
    "box_scale": "box_scale_0/conv2d_5/BiasAdd",
    "box_offset": "box_offset_0/conv2d_6/BiasAdd",
    "kpt_heatmap": "Sigmoid_1",
    "kpt_regress": "kpt_regress_0/conv2d_8/BiasAdd",
    "kpt_offset": "kpt_offset_0/conv2d_9/BiasAdd",
}
_POSENET = {
    "heatmap": "MobilenetV1/heatmap_2/BiasAdd",
    "offset": "MobilenetV1/offset_2/BiasAdd",
    "displacement_fwd": "MobilenetV1/displacement_fwd_2/BiasAdd",
    "displacement_bwd": "MobilenetV1/displacement_bwd_2/BiasAdd",
}
# The result of the last of six stages, each with a branch for the limbs (L1) and one for the parts (L2).
_OPENPOSE = {
    key: f"Openpose/MConv_Stage6_{branch}_5_pointwise/BatchNorm/FusedBatchNorm"
    for key, branch in (("parts", "L2"), ("fields", "L1"))
}


@dataclass(frozen=True)
class NetworkSpec:
    """How to import one network.

    Attributes:
        name: Name in the catalogue and in the weights manifest.
        input_size: (height, width) in pixels.
        outputs: Name of a result to name of its tensor in the file. Results are float32, batch first, channels last.
        scale, offset: Input range: pixel * scale + offset.
        input_tensor: Where the graph is entered (TensorFlow graphs only).
        channels: Bytes of a pixel: 3 for RGB; other networks say in their architecture what theirs mean.
        batch_sizes: The batch sizes that backends prepare, ascending, beginning with 1; None for their own.
        takes_bgr: The graph wants blue first (frozen TensorFlow graphs only); what is built takes RGB all the same.
        size_multiple: Other input sizes must be multiples of this plus `size_remainder`; None when the size is fixed.
        size_remainder: See `size_multiple`.
        architecture: Module of `pose_perception.networks.architectures` that builds the network with its function
            `build_network`, for those that were trained with this package; None for files that hold their own graph.
    """

    name: str
    input_size: tuple[int, int]
    outputs: Mapping[str, str]
    scale: float = 1 / 255
    offset: float = 0.0
    input_tensor: str | None = None
    size_multiple: int | None = None
    size_remainder: int = 0
    architecture: str | None = None
    takes_bgr: bool = False
    channels: int = 3
    batch_sizes: tuple[int, ...] | None = None

    def build(self, content: Sequence[bytes], input_size: tuple[int, int], outputs: Mapping[str, str]) -> Graph:
        """Return the network as a PyTorch module.

        Args:
            content: The files of its weights.
            input_size: (height, width) in pixels, as `check_size` accepts it.
            outputs: The part of `outputs` that is wanted.
        """
        if self.architecture is not None:
            module = import_module(f"pose_perception.networks.architectures.{self.architecture}")
            return module.build_network(content, input_size, tuple(outputs))
        if self.input_tensor is None:
            from pose_perception.networks.importers.tflite import import_tflite

            return import_tflite(content[0], outputs, self.scale, self.offset)
        from pose_perception.networks.importers.graphdef import fuse_convolutions, read_graphdef, swap_red_and_blue
        from pose_perception.networks.importers.tensorflow import import_tensorflow, read_tfjs

        if len(content) > 1:
            graph = read_tfjs(content[0], b"".join(content[1:]))
        else:
            graph = fuse_convolutions(read_graphdef(content[0]))
            graph = swap_red_and_blue(graph, self.input_tensor) if self.takes_bgr else graph
        return import_tensorflow(graph, self.input_tensor, input_size, outputs, self.scale, self.offset)

    def check_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """Return the input size to use.

        Raises:
            ConfigurationError: the network does not work at that size.
        """
        if size is None or tuple(size) == self.input_size:
            return self.input_size
        if self.size_multiple is None:
            raise ConfigurationError(f"{self.name} only works at {self.input_size}, not at {tuple(size)}")
        if any(side <= self.size_remainder or side % self.size_multiple != self.size_remainder for side in size):
            more = f" plus {self.size_remainder}" if self.size_remainder else ""
            raise ConfigurationError(f"{self.name}: height and width must be multiples of {self.size_multiple}{more}")
        return (int(size[0]), int(size[1]))

    def check_outputs(self, names: Sequence[str] | None) -> dict[str, str]:
        """Return the results to compute.

        Raises:
            ConfigurationError: the network has no result of that name.
        """
        unknown = sorted(set(names or ()) - set(self.outputs))
        if unknown:
            raise ConfigurationError(f"{self.name} has no result {unknown[0]!r}; it has {', '.join(self.outputs)}")
        return {name: tensor for name, tensor in self.outputs.items() if names is None or name in names}


def _movenet(name: str, size: tuple[int, int], outputs: Mapping[str, str], multiple: int | None) -> NetworkSpec:
    return NetworkSpec(
        name,
        size,
        {key: _TENSORFLOW + tensor for key, tensor in outputs.items()},
        _MOVENET_SCALE,
        -1.0,
        f"{_TENSORFLOW}sub_1",
        multiple,
    )


_SPECS = (
    NetworkSpec("blazepose_detector", (224, 224), _DETECTOR, 2 / 255, -1.0),
    *(NetworkSpec(f"blazepose_{size}", (256, 256), _BLAZEPOSE) for size in ("lite", "full", "heavy")),
    _movenet("movenet_multipose", (256, 256), _MULTIPOSE, 32),
    _movenet("movenet_thunder", (256, 256), _SINGLE_POSE, None),
    _movenet("movenet_lightning", (192, 192), _SINGLE_POSE, None),
    NetworkSpec("posenet", (385, 385), _POSENET, 2 / 255, -1.0, "image", size_multiple=16, size_remainder=1),
    NetworkSpec("tf_pose", (368, 432), _OPENPOSE, 1.0, 0.0, "image", size_multiple=16, takes_bgr=True),
    *(NetworkSpec(f"palm_detector_{size}", (192, 192), _DETECTOR) for size in ("lite", "full")),
    *(NetworkSpec(f"hand_landmarks_{size}", (224, 224), _HAND) for size in ("lite", "full")),
    NetworkSpec("hand_recrop", (256, 256), {"crop": "output_crop"}),
    NetworkSpec("face_detector", (128, 128), {"boxes": "regressors", "scores": "classificators"}, 2 / 255, -1.0),
    NetworkSpec("face_landmarks", (192, 192), {"landmarks": "conv2d_21", "presence": "conv2d_31"}),
    NetworkSpec("objectron_detector", (300, 300), _OBJECTRON_DETECTOR, 2 / 255, -1.0),
    *(NetworkSpec(f"objectron_{name}", (224, 224), _OBJECTRON) for name in ("cup", "chair", "shoe", "camera")),
    # The same network, up to the maps of which its last layer makes the heatmaps of the keypoints.
    _movenet("movenet_parts", (256, 256), {"parts": "kpt_heatmap_0/re_lu_6/Relu"}, 32),
    NetworkSpec(
        "centernet_mobilenet_v3",
        (512, 512),
        # MobileNetV3 (large, 0.75) with CenterNet's upsampling path, before its heads: maps of strides 4, 8, 16, 32.
        {
            "stride_4": "tower_0/CenternetHead/mul",
            "stride_8": "tower_0/CenternetHead/Relu_1",
            "stride_16": "tower_0/CenternetHead/Relu",
            "stride_32": "tower_0/extern1/hard_swish/mul_1",
        },
        1.0,
        input_tensor="tower_0/images",
        size_multiple=32,
    ),
    NetworkSpec("deeppose", (256, 256), {"stage_1": "stage_1"}, architecture="deeppose"),
    NetworkSpec("deeppose_joints", (96, 96), {"stage_2": "stage_2", "stage_3": "stage_3"}, architecture="deeppose"),
    NetworkSpec(
        "pose_matcher",
        (64, 64),
        {name: name for name in ("shift", "turn", "rank", "accept")},
        architecture="pose_matcher",
        channels=12,
        batch_sizes=(1, 4, 16, 64),
    ),
)
CATALOGUE = {spec.name: spec for spec in _SPECS}


def find_spec(name: str) -> NetworkSpec:
    """Return the description of a network.

    Raises:
        ConfigurationError: there is none of that name; the message lists the names.
    """
    if name not in CATALOGUE:
        raise ConfigurationError(f"unknown network {name!r}; known: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]

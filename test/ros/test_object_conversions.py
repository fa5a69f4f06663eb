"""Tests for ros/conversions/objects.py, regions.py and object_markers.py, and objects/outlines.py."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from pose_perception.msg import ObjectPose as ObjectPoseMessage
from pose_perception.msg import ObjectPoseArray
from pose_perception.msg import Skeleton as SkeletonMessage
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from pose_perception.datatypes import CameraIntrinsics, TrackingState
from pose_perception.errors import InvalidInputError
from pose_perception.objects.datatypes import ObjectPose
from pose_perception.objects.outlines import box_outline, draw_objects, mesh_outline
from pose_perception.ros import conversions

HEADER = conversions.header_message(1_700_000_000_123_456_789, "camera")
CAMERA = CameraIntrinsics(160, 120, 150.0, 150.0, 80.0, 60.0)
# y of the mesh to the right, z down, x forward.
TURN = np.array([[0.0, 1.0, 0.0, 0.1], [0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.8], [0.0, 0.0, 0.0, 1.0]])


def found(**changes: object) -> ObjectPose:
    spread = np.random.default_rng(0).normal(size=(6, 6))
    values = {
        "id": "mug_3",
        "model": "mug",
        "score": 0.75,
        "tracking_state": TrackingState.TRACKED,
        "camera_from_object": TURN,
        "covariance": spread @ spread.T,
        "box_center": np.array([0.0, 0.02, 0.05]),
        "box_size": np.array([0.1, 0.08, 0.12]),
        **changes,
    }
    return ObjectPose(**values)


def test_objects_survive_the_message() -> None:
    objects = [found(), found(id="mug_4", tracking_state=TrackingState.PREDICTED)]
    message = deserialize_message(
        serialize_message(conversions.object_pose_array_message(objects, HEADER)), ObjectPoseArray
    )
    assert message.header == HEADER
    for back, sent in zip(conversions.objects_from_message(message), objects, strict=True):
        assert (back.id, back.model, back.score, back.tracking_state) == (
            sent.id,
            sent.model,
            sent.score,
            sent.tracking_state,
        )
        for name in ("camera_from_object", "covariance", "box_center", "box_size"):
            np.testing.assert_allclose(getattr(back, name), getattr(sent, name), atol=1e-12)


def test_states_are_those_of_skeletons() -> None:
    for name in ("TRACKED", "PREDICTED", "LOST"):
        assert getattr(ObjectPoseMessage, name) == getattr(SkeletonMessage, name) == TrackingState[name]


def test_bad_messages_are_refused() -> None:
    message = conversions.object_pose_array_message([found(), found()], HEADER)
    with pytest.raises(InvalidInputError, match="id of its own"):
        conversions.objects_from_message(message)
    message.objects = message.objects[:1]
    message.objects[0].tracking_state = 9
    with pytest.raises(InvalidInputError, match="9"):
        conversions.objects_from_message(message)
    message.objects[0].tracking_state = 0
    message.objects[0].pose.pose.orientation.w = np.nan
    with pytest.raises(InvalidInputError, match="rotation"):
        conversions.objects_from_message(message)


def test_detections_carry_the_mesh_in_the_result_and_the_middle_in_the_box() -> None:
    vision = conversions.vision_messages()
    if vision is None:
        pytest.skip("vision_msgs comes with a complete ROS 2 only")
    message = conversions.detections_message(vision, [found(), found(tracking_state=TrackingState.LOST)], HEADER)
    (detection,) = message.detections
    assert (detection.id, detection.results[0].hypothesis.class_id) == ("mug_3", "mug")
    assert detection.results[0].hypothesis.score == 0.75
    np.testing.assert_allclose(conversions.matrix_from_pose(detection.results[0].pose.pose), TURN, atol=1e-12)
    middle = conversions.matrix_from_pose(detection.bbox.center)
    np.testing.assert_allclose(middle[:3, 3], [0.12, 0.05, 0.8])
    np.testing.assert_allclose(middle[:3, :3], TURN[:3, :3], atol=1e-12)
    assert (detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z) == (0.1, 0.08, 0.12)
    assert detection.header == message.header == HEADER


def mask_message(labels: np.ndarray, encoding: str) -> Image:
    height, width = labels.shape
    return Image(height=height, width=width, encoding=encoding, step=labels.strides[0], data=labels.tobytes())


@pytest.mark.parametrize(("encoding", "kind"), [("mono8", np.uint8), ("16UC1", np.uint16)])
def test_each_value_of_a_mask_is_a_region(encoding: str, kind: type) -> None:
    labels = np.zeros((120, 160), kind)
    labels[10:20, 30:50], labels[60:90, 5:25] = 7, 255
    regions = conversions.regions_from_mask(mask_message(labels, encoding), (120, 160), {"7": "mug"})
    assert [region.model for region in regions] == ["mug", None]
    assert [np.count_nonzero(region.mask) for region in regions] == [200, 600]
    assert regions[0].mask[10, 30]
    assert conversions.regions_from_mask(mask_message(np.zeros_like(labels), encoding), (120, 160), {}) == []


def test_a_mask_of_another_size_is_stretched() -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[10:20, 30:50] = 1
    (region,) = conversions.regions_from_mask(mask_message(labels, "mono8"), (120, 160), {})
    expected = np.zeros((120, 160), bool)
    expected[20:40, 60:100] = True
    np.testing.assert_array_equal(region.mask, expected)


def test_colour_is_no_mask() -> None:
    with pytest.raises(InvalidInputError, match="rgb8"):
        conversions.regions_from_mask(Image(height=2, width=2, encoding="rgb8", step=6), (2, 2), {})
    with pytest.raises(InvalidInputError, match="bytes"):
        conversions.regions_from_mask(Image(height=20, width=20, encoding="mono8", step=20), (20, 20), {})


def detection(x: float, y: float, width: float, height: float, theta: float = 0.0, **scores: float) -> SimpleNamespace:
    """Return what a vision_msgs/Detection2D holds."""
    results = [
        SimpleNamespace(hypothesis=SimpleNamespace(class_id=name, score=score)) for name, score in scores.items()
    ]
    center = SimpleNamespace(position=SimpleNamespace(x=x, y=y), theta=theta)
    return SimpleNamespace(id="d", results=results, bbox=SimpleNamespace(center=center, size_x=width, size_y=height))


def test_boxes_of_detections_are_regions() -> None:
    message = SimpleNamespace(
        detections=[
            detection(50.0, 40.0, 20.0, 10.0, cup=0.9, bowl=0.2),
            detection(50.0, 40.0, 20.0, 10.0, theta=np.pi / 2, thing=0.4),
            detection(150.0, 110.0, 100.0, 100.0),
        ]
    )
    regions = conversions.regions_from_detections(message, (120, 160), {"cup": "mug"})
    assert [(region.model, region.score) for region in regions] == [("mug", 0.9), ("thing", 0.4), (None, 1.0)]
    rows, columns = np.nonzero(regions[0].mask)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (40, 60, 35, 45)
    rows, columns = np.nonzero(regions[1].mask)  # turned
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (45, 55, 30, 50)
    assert regions[2].mask[-1, -1]  # cut at the border
    with pytest.raises(InvalidInputError, match="box"):
        conversions.regions_from_detections(
            SimpleNamespace(detections=[detection(np.nan, 0.0, 1.0, 1.0)]), (120, 160), {}
        )


def test_markers_show_the_mesh_where_the_object_is() -> None:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.05)
    mesh.visual.vertex_colors = np.tile(np.array([255, 0, 0, 255], np.uint8), (len(mesh.vertices), 1))
    markers = conversions.ObjectMarkers({"mug": mesh_outline(mesh)})
    objects = [
        found(),
        found(id="cup_1", model="cup", tracking_state=TrackingState.PREDICTED),
        found(id="cup_2", tracking_state=TrackingState.LOST),
    ]
    message = deserialize_message(serialize_message(markers.message(objects, HEADER)), MarkerArray)

    delete, solid, name, box, _ = message.markers
    assert delete.action == Marker.DELETEALL
    assert solid.type == box.type == Marker.TRIANGLE_LIST
    assert len(solid.points) == 3 * 320
    assert (solid.colors[0].r, solid.colors[0].g) == (1.0, 0.0)
    np.testing.assert_allclose(conversions.matrix_from_pose(solid.pose), TURN, atol=1e-9)
    assert len(box.points) == 36
    corners = np.array([[point.x, point.y, point.z] for point in box.points])
    np.testing.assert_allclose(np.ptp(corners, axis=0), [0.1, 0.08, 0.12])
    assert solid.color.a > box.color.a
    assert name.text == "mug_3 0.75"
    assert len({(marker.ns, marker.id) for marker in message.markers[1:]}) == 4


def test_an_outline_of_a_fine_mesh_is_coarse_and_has_its_size_and_colour() -> None:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=5, radius=0.05)
    mesh.visual.vertex_colors = np.tile(np.array([0, 0, 255, 255], np.uint8), (len(mesh.vertices), 1))
    outline = mesh_outline(mesh)
    assert len(outline.faces) <= 1000
    np.testing.assert_allclose(np.linalg.norm(outline.vertices, axis=1), 0.05, atol=0.002)
    np.testing.assert_allclose(outline.colors, np.tile([0, 0, 1], (len(outline.faces), 1)), atol=0.01)


def test_drawing_marks_the_silhouette_and_leaves_the_image_alone() -> None:
    color = np.full((120, 160, 3), 50, np.uint8)
    sphere = box_outline(np.zeros(3), np.array([0.1, 0.1, 0.1]))
    drawn = draw_objects(color, [found(box_center=np.zeros(3))], {"mug": sphere}, CAMERA)
    assert (color == 50).all()
    changed = (drawn != 50).any(axis=2)
    # The cube spans 150 * 0.1 / 0.75 = 20 px around (80 + 150 * 0.1 / 0.8, 60) = (99, 60).
    assert changed[60, 89:91].any()
    assert changed[60, 108:111].any()
    assert not changed[85:].any()
    for state, pose in ((TrackingState.LOST, TURN), (TrackingState.TRACKED, np.eye(4))):
        lost = found(tracking_state=state, camera_from_object=pose)
        np.testing.assert_array_equal(draw_objects(color, [lost], {}, CAMERA), color)

"""RGB-D frames of tables with objects, with the models to search them for and where they truly are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pose_perception.datatypes import CameraIntrinsics, FloatArray, RgbdFrame
from pose_perception.objects.crops import Observation, crop_intrinsics
from pose_perception.objects.model import ObjectModel, make_model
from pose_perception.objects.raycasting import RaycastingRenderer
from pose_perception.objects.surface import Surface, halvings
from pose_perception.simulation.sensor import Sensor, SensorConfig
from pose_perception.simulation.tabletop.arrangement import Thing, arrange, look_at_table, make_thing
from pose_perception.simulation.tabletop.scene import Placed, TabletopScene, View, random_light
from pose_perception.simulation.tabletop.shapes import random_shape

CAMERA = CameraIntrinsics(640, 480, 605.0, 605.0, 318.0, 242.0)
_INTRINSICS = np.array([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy])
_SPREAD_M = 0.22
# As a RealSense D435 at this distance; edges are steps of objects, not of rooms.
SENSOR = SensorConfig(edge_step_m=0.02, holes=0.01, min_depth_m=0.2)
_FPS = 30.0
# What a scan does to a model: error of each edge's length, blur of the texture, and colours by another light.
_SCAN_SCALE, _SCAN_BLUR_PX = 0.007, 1.5
_SCAN_GAIN, _SCAN_TINT, _SCAN_GAMMA, _SCAN_HAZE = (0.75, 1.25), 0.07, (0.75, 1.3), 0.06
# A camera in a hand: amplitudes along and about its axes, and slowest and fastest of its motions.
_SWAY_M, _SWAY_RAD, _SWAY_HZ = 0.06, 0.10, (0.15, 0.5)


class TabletopFrame(NamedTuple):
    """One frame with its truth.

    Attributes:
        frame: What the camera saw.
        poses: camera_from_object of each model, shape (N, 4, 4).
        masks: Where each is visible, shape (N, H, W), bool.
        visible: Share of each object's picture that nothing hides, shape (N,), 0 to 1.
    """

    frame: RgbdFrame
    poses: FloatArray
    masks: npt.NDArray[np.bool_]
    visible: FloatArray

    @property
    def observation(self) -> Observation:
        """The frame as the search for objects sees it."""
        return Observation(self.frame.color, self.frame.depth, _INTRINSICS)


class Tabletop:
    """Objects on a random table.

    Args:
        seed: Of everything.
        count: How many objects to try to put there.
        spread_m: Radius of the area in which they stand, metres.
        models: Of what is drawn which objects are there, each once; empty for objects that are made up.
    """

    def __init__(
        self, seed: int, count: int = 7, spread_m: float = _SPREAD_M, models: Sequence[ObjectModel] = ()
    ) -> None:
        self._rng = np.random.default_rng((seed, 77))
        scans = np.random.default_rng((seed, 78))
        drawn = [models[i] for i in self._rng.permutation(len(models))[:count]]
        if drawn:
            things = [Thing(_unlike(model.surface, scans), np.eye(3)[None], True) for model in drawn]
        else:
            things = [make_thing(random_shape(self._rng), self._rng) for _ in range(count)]
        poses = arrange(things, self._rng, spread_m)
        there = [i for i, pose in enumerate(poses) if pose is not None]
        self.things = [things[i] for i in there]
        if drawn:
            self.models = [drawn[i] for i in there]
        else:
            self.models = [_model(thing, f"thing_{i}", scans) for i, thing in enumerate(self.things)]
        self.world_from_objects = np.stack([poses[i] for i in there])
        self.camera_from_world = look_at_table(self._rng, spread_m)
        self._light = random_light(self._rng)
        self._room_seed = int(self._rng.integers(2**31))
        self._sensor = Sensor(SENSOR, CAMERA)

    def shoot(
        self,
        camera_from_world: FloatArray | None = None,
        extra: Sequence[Placed] = (),
        stamp_ns: int = 0,
        knows_camera: bool = False,
    ) -> TabletopFrame:
        """Take a frame.

        Args:
            camera_from_world: Where from, shape (4, 4); None for the first place.
            extra: What else is there, in front of the objects for instance.
            stamp_ns: Of the frame.
            knows_camera: Whether the frame tells the pose of the camera.
        """
        camera_from_world = self.camera_from_world if camera_from_world is None else camera_from_world
        size = (CAMERA.height, CAMERA.width)
        placed = [Placed(thing.surface, pose) for thing, pose in zip(self.things, self.world_from_objects, strict=True)]
        scene = TabletopScene([*placed, *extra], self._light, np.random.default_rng(self._room_seed))
        view = scene.view(camera_from_world, _INTRINSICS, size)
        color, millimetres = self._sensor.observe(view, self._rng)
        fixed = np.linalg.inv(camera_from_world) if knows_camera else None
        frame = RgbdFrame(color, millimetres.astype(np.float32) / 1000, CAMERA, stamp_ns, "camera", fixed)
        masks = np.stack([view.instances == i for i in range(len(placed))])
        poses = camera_from_world @ self.world_from_objects
        return TabletopFrame(frame, poses, masks, self._visible(poses, view))

    def video(self, frames: int) -> Iterator[tuple[FloatArray, int]]:
        """Yield camera_from_world (4, 4) and stamp of the frames of a camera that is held by hand.

        Args:
            frames: How many, at 30 Hz.
        """
        rates = self._rng.uniform(*_SWAY_HZ, (6, 2))
        phases = self._rng.uniform(0, 2 * np.pi, (6, 2))
        for i in range(frames):
            waves = 0.5 * np.sin(2 * np.pi * rates * i / _FPS + phases).sum(1)
            moved = np.eye(4)
            moved[:3, :3] = Rotation.from_rotvec(waves[3:] * _SWAY_RAD).as_matrix()
            moved[:3, 3] = waves[:3] * _SWAY_M
            yield moved @ self.camera_from_world, round(i / _FPS * 1e9)

    def _visible(self, poses: FloatArray, view: View) -> FloatArray:
        """Return which share of each object alone is seen; what is outside of the image counts as hidden."""
        shares = np.zeros(len(poses))
        for i, (pose, thing) in enumerate(zip(poses, self.things, strict=True)):
            if (pose[:3, :3] @ thing.center + pose[:3, 3])[2] < thing.radius + 0.05:
                continue
            crop = crop_intrinsics(pose[None], thing.center, thing.radius, _INTRINSICS, 1.1, 64)
            alone = RaycastingRenderer(thing.surface).render(pose[None], crop, 64, color=False).mask.sum()
            # Pixels of the crop are larger or smaller than those of the image.
            whole = alone * (CAMERA.fx / crop[0, 0]) * (CAMERA.fy / crop[0, 1])
            shares[i] = min(1.0, (view.instances == i).sum() / max(whole, 1))
        return shares


def _model(thing: Thing, name: str, rng: np.random.Generator) -> ObjectModel:
    """Return what a user would have of a thing: a scanned mesh, a little wrong in size, with a photographed texture."""
    import trimesh
    from PIL import Image

    surface = _unlike(thing.surface, rng)
    material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(surface.texture[0]))
    visual = trimesh.visual.TextureVisuals(uv=surface.uvs.reshape(-1, 2), material=material)
    corners = surface.vertices[surface.faces].reshape(-1, 3)
    faces = np.arange(len(corners)).reshape(-1, 3)
    return make_model(trimesh.Trimesh(corners, faces, visual=visual, process=False), name)


def _unlike(surface: Surface, rng: np.random.Generator) -> Surface:
    """Return a surface as far from another one as a scan is from the thing: in size, sharpness and colours."""
    vertices = surface.vertices * rng.normal(1, _SCAN_SCALE, 3).astype(np.float32)
    blur, gain = rng.uniform(0.3, _SCAN_BLUR_PX), rng.uniform(*_SCAN_GAIN) * rng.normal(1, _SCAN_TINT, 3)
    gamma, haze = rng.uniform(*_SCAN_GAMMA), rng.uniform(0, _SCAN_HAZE)

    def seen(colors: FloatArray) -> FloatArray:
        return np.clip(colors**gamma * gain + haze, 0, 1)

    if surface.uvs is not None:
        texture = seen(cv2.GaussianBlur(surface.texture[0], (0, 0), blur).astype(np.float32) / 255)
        return replace(surface, vertices=vertices, texture=halvings(np.uint8(np.round(255 * texture))))
    colors = None if surface.colors is None else np.float32(seen(surface.colors))
    return replace(surface, vertices=vertices, colors=colors)

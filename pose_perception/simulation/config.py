"""What is simulated."""

from __future__ import annotations

from dataclasses import dataclass, field

from pose_perception.config import Config, option
from pose_perception.datatypes import CameraIntrinsics
from pose_perception.errors import ConfigurationError
from pose_perception.simulation.sensor import SensorConfig

# People who pass each other need this much room from lane to lane: two shoulders and some air.
LANE_M = 0.65
# Whoever walks needs time to turn round at both ends and to make some steps in between.
_SHORTEST_WALK_S = 5.0
# Width and height of the depth images of a D435.
_DEPTH_SIZE = (848, 480)


@dataclass(frozen=True)
class SequenceConfig(Config):
    """What is simulated."""

    people: int = option(2, "Number of people.", minimum=1, maximum=12)
    duration_s: float = option(10.0, "Length of the loop, seconds.", minimum=0.2, maximum=600.0)
    rate_hz: float = option(15.0, "Frames per second.", minimum=1.0, maximum=120.0)
    width: int = option(640, "Image width, px.", minimum=32, maximum=1920)
    height: int = option(480, "Image height, px.", minimum=32, maximum=1200)
    focal_px: float = option(
        615.0,
        "Focal length for 640 columns, px; scales with the width (D435 colour camera).",
        minimum=200.0,
        maximum=2000.0,
    )
    min_distance_m: float = option(1.5, "Distance of the nearest person, metres.", minimum=0.4, maximum=10.0)
    max_distance_m: float = option(3.0, "Distance of the farthest person, metres.", minimum=0.4, maximum=10.0)
    activity: str = option(
        "stand",
        "What people do: stand side by side, cross each other, walk behind a board (occlude) or out of the image "
        "(exit), turn on the spot, approach the camera, carry boxes, stand beside a poster of a person, or sit.",
        choices=("stand", "cross", "occlude", "exit", "turn", "approach", "carry", "poster", "sit"),
    )
    hidden_s: float = option(
        2.0, "How long nothing is seen of someone behind the board or out of the image, s.", minimum=0.5, maximum=60.0
    )
    motion: str = option(
        "mixed",
        "What the arms do of people who stand, turn or sit; waving is without a pause, at 1.5 Hz.",
        choices=("mixed", "wave", "point", "reach", "still", "waving"),
    )
    camera_motion: str = option("still", "How the camera is held.", choices=("still", "hand_held"))
    depth_view: str = option(
        "registered",
        "Whether depth is seen by the colour camera or by one of its own: 848x480, 15 mm aside.",
        choices=("registered", "separate"),
    )
    seed: int = option(0, "Choice of bodies, clothes, places, motion and noise.", minimum=0)
    noise: bool = option(True, "Whether the cameras err; without noise the images are ideal.")
    sensor: SensorConfig = field(default_factory=SensorConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_distance_m > self.max_distance_m:
            raise ConfigurationError(
                f"min_distance_m ({self.min_distance_m}) must not exceed max_distance_m ({self.max_distance_m})"
            )
        if self.activity in ("cross", "approach") and self.duration_s < _SHORTEST_WALK_S:
            raise ConfigurationError(f"{self.activity} needs a loop of at least {_SHORTEST_WALK_S:g} s")
        room = self.max_distance_m - self.min_distance_m
        if self.activity == "cross" and room < LANE_M * (self.people - 1) - 1e-9:
            raise ConfigurationError(
                f"{self.people} people who cross need lanes {LANE_M} m apart: from min_distance_m to max_distance_m "
                f"{LANE_M * (self.people - 1):.2f} m, not {room:.2f} m"
            )

    @property
    def frames(self) -> int:
        """Number of frames in the loop."""
        return max(1, round(self.duration_s * self.rate_hz))

    @property
    def loop_s(self) -> float:
        """Length of the loop in whole frames, seconds."""
        return self.frames / self.rate_hz

    @property
    def camera(self) -> CameraIntrinsics:
        """Intrinsics of the colour camera."""
        focal = self.focal_px * self.width / 640
        return CameraIntrinsics(self.width, self.height, focal, focal, (self.width - 1) / 2, (self.height - 1) / 2)

    @property
    def depth_camera(self) -> CameraIntrinsics | None:
        """Intrinsics of the depth camera where it is another one: that of a D435."""
        if self.depth_view == "registered":
            return None
        focal, (width, height) = self.sensor.focal_px, _DEPTH_SIZE
        return CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def half_view(self) -> float:
        """Tangent of half the horizontal angle of view."""
        return self.width / 2 / self.camera.fx

"""When a robot may move after a person: the numbers of `supervisor.py`."""

from __future__ import annotations

from dataclasses import dataclass

from pose_perception.config import Config, option
from pose_perception.errors import ConfigurationError


@dataclass(frozen=True)
class SupervisorConfig(Config):
    """When the robot may move. Ages are counted from the stamps of images and messages, in seconds."""

    deadman: bool = option(True, "Whether a dead-man switch must be held (topic ~/deadman).")
    deadman_timeout: float = option(
        0.3,
        "A dead-man switch that says nothing for so long counts as released, in seconds.",
        minimum=0.02,
        maximum=2.0,
    )
    hold_after: float = option(
        0.3,
        "Without a believable image of the operator for so long the robot holds, seconds.",
        minimum=0.05,
        maximum=2,
    )
    disable_after: float = option(1.0, "And for so long it is disabled, in seconds.", minimum=0.1, maximum=60.0)
    joints_timeout: float = option(
        0.3, "Joint states older than this are missing, in seconds.", minimum=0.02, maximum=5.0
    )
    ramp: float = option(2.0, "Time from the first motion to full speed, in seconds.", minimum=0.0, maximum=30.0)
    first_speed: float = option(0.1, "Part of the speed that is allowed at first.", minimum=0.001, maximum=1.0)
    limit_tolerance: float = option(
        0.05, "How far outside of its limits a joint may be reported, in radians.", minimum=0.0, maximum=0.5
    )
    still_speed: float = option(0.05, "A robot slower than this stands still, in rad/s.", minimum=0.0001, maximum=1.0)
    following_error: float = option(
        0.5, "Largest distance of a joint from its command, in radians.", minimum=0.01, maximum=3.0
    )
    following_time: float = option(
        0.5, "The robot may be that far from its command for so long, in seconds.", minimum=0.0, maximum=10.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hold_after < self.disable_after:
            raise ConfigurationError("SupervisorConfig.hold_after must be smaller than disable_after")

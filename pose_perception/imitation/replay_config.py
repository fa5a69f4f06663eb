"""What a replay does, why it was refused or ended, and what it keeps to."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from pose_perception.config import Config, option
from pose_perception.imitation.workspace import WorkspaceConfig


class ReplayState(enum.IntEnum):
    """What a replay does."""

    IDLE = 0
    APPROACHING = 1
    REPLAYING = 2
    STOPPING = 3
    FINISHED = 4
    ABORTED = 5


RUNNING = (ReplayState.APPROACHING, ReplayState.REPLAYING)


class ReplayReason(enum.Enum):
    """Why a replay was refused or aborted, or ended."""

    ASKED_FOR = "asked for"
    DONE = "the motion is over"
    RUNNING = "a replay is running"
    JOINTS_MISSING = "no joint states, or old ones"
    JOINTS_INVALID = "joint states that are no numbers"
    OUTSIDE_LIMITS = "a joint is outside its limits"
    ALREADY_MOVING = "the robot is moving already"
    BAD_MOTION = "the motion is not one that this robot can make"
    WOULD_COLLIDE = "the robot would touch itself"
    OUTSIDE_WORKSPACE = "a tool or wrist would leave its box"
    OBJECT_LOST = "the object is not seen any more"
    OBJECT_MOVED = "the object is not where it was"
    NOT_FOLLOWING = "the robot does not follow its commands"
    DEADMAN_RELEASED = "dead-man switch is released"
    DEADMAN_SILENT = "dead-man switch is silent"
    DEADMAN_NEVER_RELEASED = "dead-man switch was not released since the last time"
    TOO_LATE = "commands came too late"
    CONTROLLER = "the controller of the robot ended the motion"
    CLOCK_SET_BACK = "the clock was set back"
    WRONG_COMMAND = "a command that breaks a limit was stopped"


# After these, the robot is unfit to be moved.
FAULTS = (
    ReplayReason.JOINTS_MISSING,
    ReplayReason.JOINTS_INVALID,
    ReplayReason.OUTSIDE_LIMITS,
    ReplayReason.NOT_FOLLOWING,
    ReplayReason.WRONG_COMMAND,
)


@dataclass(frozen=True)
class ReplayConfig(Config):
    """How motions are replayed."""

    speed_scale: float = option(1.0, "Speed of the motion over that of the recording.", minimum=0.01, maximum=5.0)
    limit_share: float = option(
        0.8, "Part of the robot's velocities and accelerations that is used.", minimum=0.01, maximum=1.0
    )
    gripper_speed: float = option(
        2.0, "Largest speed of grippers, in ways from closed to open per second.", minimum=0.01, maximum=100.0
    )
    step_s: float = option(0.01, "Time between commands, in seconds.", minimum=0.001, maximum=0.1)
    stop_distance_m: float = option(
        0.022, "Capsules never come nearer to each other than this, in metres.", minimum=0.0, maximum=0.2
    )
    following_error: float = option(
        0.2, "Largest distance of a joint from its command, in radians.", minimum=0.001, maximum=3.0
    )
    following_time: float = option(
        0.3, "The robot may be that far from its command for so long, in seconds.", minimum=0.0, maximum=10.0
    )
    joints_timeout: float = option(
        0.3, "Joint states older than this are missing, in seconds.", minimum=0.02, maximum=5.0
    )
    limit_tolerance: float = option(
        0.05, "How far outside of its limits a joint may be reported, in radians.", minimum=0.0, maximum=0.5
    )
    still_speed: float = option(0.05, "A robot slower than this stands still, in rad/s.", minimum=0.0001, maximum=1.0)
    object_timeout: float = option(
        1.0, "An object that is not seen for so long is lost, in seconds.", minimum=0.05, maximum=60.0
    )
    object_shift: float = option(0.02, "How far an object may move, in metres.", minimum=0.001, maximum=1.0)
    object_turn: float = option(
        0.35, "How far an object may turn, in radians; pi for one without sides.", minimum=0.01, maximum=3.15
    )
    object_hidden: float = option(
        0.12, "Nearer than this a tool hides an object, which is not watched any more, metres.", minimum=0, maximum=1
    )
    deadman: bool = option(True, "Whether a dead-man switch must be held.")
    deadman_timeout: float = option(
        0.3, "A dead-man switch that says nothing for so long counts as released, in seconds.", minimum=0.02, maximum=2
    )
    workspace: WorkspaceConfig = field(default_factory=WorkspaceConfig)

"""People who are out of sight for a given time: behind a board, or beyond the border of the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pose_perception.errors import ConfigurationError
from pose_perception.simulation.actors import Walking
from pose_perception.simulation.camera import camera_from_world
from pose_perception.simulation.config import SequenceConfig
from pose_perception.simulation.kinematics import FloatArray
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import Body
from pose_perception.simulation.posing import pose_body
from pose_perception.simulation.room import Block
from pose_perception.simulation.routes import Route

# Half the width that somebody needs who stands, and who walks across the view.
_STANDING_M, _WALKING_M = 0.30, 0.50
_SPEED_M_S = 1.0
_TO_CAMERA_S, _TURN_S = 0.9, 1.3
# Everybody is seen at least this long before they hide again.
_SHORTEST_STAY_S = 0.7
_BOARD_HEIGHT_M, _BOARD_THICKNESS_M = 2.1, 0.05
# How far away the board is, as a share of the distance of who hides; others stand within a share of the view.
_BOARD_DEPTH, _USED_VIEW = 0.5, 0.85
# Pause with which the time out of sight is measured first, how often, and how finely: to 20 ms.
_TRIAL_PAUSE_S, _TRIALS, _BISECTIONS = 2.0, 6, 7
# Steps depend on the pause, so that the time out of sight does not quite grow with it.
_TOLERANCE_S, _WORST_S = 0.03, 0.2


@dataclass(frozen=True)
class Hiding:
    """Where somebody hides and where they are seen; all directions as tangents, seen from the camera.

    Attributes:
        spots: Where they stand in sight: one place, or one on either side of the board.
        hidden: The middle of where they are not seen.
        covered: Directions (low, high) in which nothing is seen.
        free: Directions (low, high) where others may stand.
        blocks: The board; none for the border of the image.
    """

    spots: tuple[float, ...]
    hidden: float
    covered: tuple[float, float]
    free: tuple[float, float]
    blocks: tuple[Block, ...] = ()

    @classmethod
    def of(cls, config: SequenceConfig, nearest_m: float) -> Hiding:
        """Arrange a scene for people who hide at this distance or farther.

        Raises:
            ConfigurationError: the view is too narrow at that distance.
        """
        view, standing, walking = config.half_view, _STANDING_M / nearest_m, _WALKING_M / nearest_m
        if config.activity == "exit":
            spot = max(-0.55 * view, -view + standing)
            hiding = cls((spot,), -view - 1.2 * walking, (-np.inf, -view), (spot + 1.5 * standing, _USED_VIEW * view))
        else:
            left = -view + 2 * standing
            spots: tuple[float, ...] = (left + 2 * walking + 1.2 * standing, left - standing)
            if spots[0] + 2 * standing > view:
                # No room on either side: the board reaches to the border of the image.
                left = -1.2 * view
                spots = (2 * walking - view + 1.2 * standing,)
            right = spots[0] - 1.2 * standing
            free = (spots[0] + 1.5 * standing, _USED_VIEW * view)
            board = _board(left, right, _BOARD_DEPTH * nearest_m)
            hiding = cls(spots, right - walking, (left, right), free, (board,))
        if hiding.spots[0] + standing > view:
            raise ConfigurationError(
                f"{config.activity} needs a max_distance_m of more than {config.max_distance_m:g} m"
            )
        return hiding

    def hides(self, vertices: FloatArray) -> bool:
        """Whether nothing is seen of a body in the room (V, 3)."""
        if self.blocks:
            direction = vertices[:, 0] / vertices[:, 1]
        else:
            pose = camera_from_world()
            points = vertices @ pose[:3, :3].T + pose[:3, 3]
            direction = points[:, 0] / points[:, 2]
        return bool(direction.min() > self.covered[0] and direction.max() < self.covered[1])


def _board(left: float, right: float, depth_m: float) -> Block:
    return Block(
        "board", (left * depth_m, depth_m, 0), (right * depth_m, depth_m + _BOARD_THICKNESS_M, _BOARD_HEIGHT_M)
    )


def hide(
    config: SequenceConfig,
    hiding: Hiding,
    body: Body,
    motion: Motion,
    lane_m: float,
    phase: float,
    rng: np.random.Generator,
) -> Walking:
    """Let somebody walk out of sight and come back, as often as the loop allows.

    Args:
        config: Length of the loop and time out of sight.
        hiding: Where.
        body: Who.
        motion: What head and trunk do.
        lane_m: Distance at which they walk.
        phase: Share of one time there and back by which they are late.
        rng: On which side they come out.

    Raises:
        ConfigurationError: the loop or the time out of sight is too short.
    """
    both_sides = sorted({(a, b) for a in range(len(hiding.spots)) for b in range(len(hiding.spots))})
    pauses = {sides: _pause_s(config, hiding, body, motion, lane_m, sides) for sides in both_sides}
    possible = [sides for sides in both_sides if pauses[sides] >= (_TURN_S if sides[0] == sides[1] else 0.0)]
    if not any(sides[0] == 0 for sides in possible):
        raise ConfigurationError(f"nobody can hide and come back within hidden_s = {config.hidden_s:g} s")
    longest_s = max(_pass_s(hiding, lane_m, sides, pauses[sides]) for sides in possible) + _SHORTEST_STAY_S
    count = int(config.loop_s / longest_s)
    if count > 1 and (0, 0) not in possible:
        count -= count % 2
    if count < 1 or (count < 2 and (0, 0) not in possible):
        raise ConfigurationError(f"{config.activity} needs a loop of at least {longest_s:.1f} s to hide once")
    walks = _draw_passes(count, possible, rng)
    moving_s = sum(_pass_s(hiding, lane_m, sides, pauses[sides]) for sides in walks)
    stay_s = (config.loop_s - moving_s) / count
    # The loop begins and ends in sight.
    late_s = phase * config.loop_s / count - stay_s / 2
    route = _route(hiding, lane_m, [(sides, pauses[sides]) for sides in walks], stay_s, late_s)
    return Walking(motion, route)


def _draw_passes(count: int, possible: list[tuple[int, int]], rng: np.random.Generator) -> list[tuple[int, int]]:
    """From which spot to which one somebody walks each time; at last back to the first."""
    walks: list[tuple[int, int]] = []
    at = 0
    for i in range(count):
        choices = [sides for sides in possible if sides[0] == at]
        # The last but one must leave a way back.
        if i == count - 1:
            choices = [sides for sides in choices if sides[1] == 0]
        elif i == count - 2:
            choices = [sides for sides in choices if (sides[1], 0) in possible]
        walks.append(choices[rng.integers(len(choices))])
        at = walks[-1][1]
    return walks


def _pause_s(
    config: SequenceConfig, hiding: Hiding, body: Body, motion: Motion, lane_m: float, sides: tuple[int, int]
) -> float:
    """Find the pause out of sight with which nothing is seen for as long as configured; negative where none does."""
    pause_s, best = _TRIAL_PAUSE_S, (np.inf, 0.0)
    for _ in range(_TRIALS):
        short_s = config.hidden_s - _out_of_sight_s(hiding, body, motion, lane_m, sides, pause_s)
        best = min(best, (abs(short_s), pause_s))
        if abs(short_s) < _TOLERANCE_S or pause_s + short_s < 0:
            break
        pause_s += short_s
    return best[1] if best[0] < _WORST_S else -1.0


def _out_of_sight_s(
    hiding: Hiding, body: Body, motion: Motion, lane_m: float, sides: tuple[int, int], pause_s: float
) -> float:
    """Measure how long nothing is seen of somebody."""
    stay_s = 3.0
    walker = Walking(motion, _route(hiding, lane_m, [(sides, pause_s), (sides[::-1], pause_s)], stay_s, 0.0))

    def hidden(time_s: float) -> bool:
        pose, world_from_person = walker.at(time_s)
        return hiding.hides(pose_body(body, pose).moved(world_from_person).vertices)

    there_s = stay_s + _TO_CAMERA_S
    middle_s = there_s + abs(hiding.spots[sides[0]] - hiding.hidden) * lane_m / _SPEED_M_S + pause_s / 2
    back_s = stay_s + _pass_s(hiding, lane_m, sides, pause_s)
    return _last(hidden, middle_s, back_s) - _last(hidden, middle_s, there_s)


def _last(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Bisect for where something ends that holds inside."""
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


def _pass_s(hiding: Hiding, lane_m: float, sides: tuple[int, int], pause_s: float) -> float:
    """Time from leaving one spot to arriving at the next."""
    way = sum(abs(hiding.spots[side] - hiding.hidden) for side in sides) * lane_m
    return 2 * _TO_CAMERA_S + way / _SPEED_M_S + pause_s


def _route(
    hiding: Hiding, lane_m: float, walks: Sequence[tuple[tuple[int, int], float]], stay_s: float, late_s: float
) -> Route:
    """Stay, walk out of sight, pause, perhaps turn round, walk into sight and turn to the camera; over and over."""
    times, poses = [0.0], [_to_camera(hiding.spots[walks[0][0][0]], lane_m)]

    def go(seconds: float, x: float, heading: float) -> None:
        times.append(times[-1] + seconds)
        poses.append((x, lane_m, heading))

    middle = hiding.hidden * lane_m
    for (start, end), pause_s in walks:
        x0, x1 = (hiding.spots[side] * lane_m for side in (start, end))
        there, back = (np.pi / 2 * np.sign(x) for x in (middle - x0, x1 - middle))
        go(stay_s, *_to_camera(hiding.spots[start], lane_m)[::2])
        go(_TO_CAMERA_S, x0, there)
        go(abs(middle - x0) / _SPEED_M_S, middle, there)
        turn_s = _TURN_S if start == end else 0.0
        if pause_s > turn_s:
            go((pause_s - turn_s) / 2, middle, there)
        if turn_s:
            go(turn_s, middle, back)
        if pause_s > turn_s:
            go((pause_s - turn_s) / 2, middle, back)
        go(abs(x1 - middle) / _SPEED_M_S, x1, back)
        go(_TO_CAMERA_S, *_to_camera(hiding.spots[end], lane_m)[::2])
    return Route(times, poses, start_s=-late_s)


def _to_camera(spot: float, lane_m: float) -> tuple[float, float, float]:
    return spot * lane_m, lane_m, -float(np.arctan(spot))

"""Who does what in a scene: stand, cross, hide, leave, turn, approach or carry, and what is needed for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pose_perception.errors import ConfigurationError
from pose_perception.simulation.actors import Actor, Carrying, Sitting, Standing, Walking, place
from pose_perception.simulation.config import SequenceConfig
from pose_perception.simulation.hiding import Hiding, hide
from pose_perception.simulation.kinematics import FloatArray
from pose_perception.simulation.motion import Motion
from pose_perception.simulation.people import Body
from pose_perception.simulation.placement import stand_side_by_side
from pose_perception.simulation.room import Block
from pose_perception.simulation.routes import Route, to_and_fro

_SPEED_M_S = 1.0
_TURN_S = 1.3
# Ends of the lanes of people who cross, as a share of half the view: all of them stays visible.
_CROSSING_VIEW = 0.80
# Half the distance between the way there and the way back, and what shoulders and arms need beside it.
_LANE_SIDE_M, _SHOULDERS_M = (0.04, 0.20), 0.31
# Distance of the lanes of people who approach.
_APPROACH_LANE_M = 0.75
# Two people who hide walk in lanes this far apart, and not nearer than the second number.
_HIDING_LANE_M, _NEAREST_HIDING_M = 0.8, 2.8
# Room for each of the people who stand beside.
_BESIDE_M = 0.16


@dataclass(frozen=True)
class Plan:
    """What happens in a scene.

    Attributes:
        actors: One for each person.
        blocks: What stands in the room for it.
        carries: Whether everybody holds a box.
        sits: Whether everybody sits on a chair.
        poster_bearing_rad: Direction in which a poster hangs, seen from the camera; None without one.
    """

    actors: list[Actor]
    blocks: tuple[Block, ...] = ()
    carries: bool = False
    sits: bool = False
    poster_bearing_rad: float | None = None


def plan(config: SequenceConfig, bodies: list[Body], place_rng: np.random.Generator, motions: list[Motion]) -> Plan:
    """Plan the activity of a configuration.

    Args:
        config: What is simulated.
        bodies: The people.
        place_rng: Source of the places.
        motions: What arms, trunk and head of each person do.

    Raises:
        ConfigurationError: the loop is too short or the room too small for the activity.
    """
    plans: dict[str, Callable[..., Plan]] = {
        "stand": _stand,
        "cross": _cross,
        "occlude": _hide,
        "exit": _hide,
        "turn": _turn,
        "approach": _approach,
        "carry": _carry,
        "poster": _poster,
        "sit": _sit,
    }
    return plans[config.activity](config, bodies, place_rng, motions)


def _stand(config: SequenceConfig, bodies: list[Body], rng: np.random.Generator, motions: list[Motion]) -> Plan:
    places = stand_side_by_side(config, config.people, rng)
    return Plan([Standing(motion, place(*pose)) for motion, pose in zip(motions, places, strict=True)])


def _carry(config: SequenceConfig, bodies: list[Body], rng: np.random.Generator, motions: list[Motion]) -> Plan:
    places = stand_side_by_side(config, config.people, rng)
    return Plan(
        [Carrying(*who, place(*pose)) for *who, pose in zip(motions, bodies, places, strict=True)], carries=True
    )


def _sit(config: SequenceConfig, bodies: list[Body], rng: np.random.Generator, motions: list[Motion]) -> Plan:
    places = stand_side_by_side(config, config.people, rng)
    actors = [Sitting(motion, place(*pose)) for motion, pose in zip(motions, places, strict=True)]
    return Plan(list(actors), sits=True)


def _turn(config: SequenceConfig, bodies: list[Body], rng: np.random.Generator, motions: list[Motion]) -> Plan:
    places = stand_side_by_side(config, config.people, rng)
    turns = 2 * np.pi * rng.choice((-1, 1), config.people)
    ends = places + turns[:, None] * np.array([0, 0, 1])
    routes = [Route([0, config.loop_s], pair) for pair in np.stack([places, ends], axis=1)]
    return Plan([Walking(motion, route, swings=False) for motion, route in zip(motions, routes, strict=True)])


def _poster(config: SequenceConfig, bodies: list[Body], rng: np.random.Generator, motions: list[Motion]) -> Plan:
    """Give the poster a place among the people, so that nobody stands before it."""
    places = stand_side_by_side(config, config.people + 1, rng)
    free = int(rng.integers(config.people + 1))
    bearing = float(np.arctan2(places[free, 0], places[free, 1]))
    people = np.delete(places, free, axis=0)
    actors: list[Actor] = [Standing(motion, place(*pose)) for motion, pose in zip(motions, people, strict=True)]
    return Plan(actors, poster_bearing_rad=bearing)


def _cross(config: SequenceConfig, bodies: list[Body], rng: np.random.Generator, motions: list[Motion]) -> Plan:
    """Let everybody walk across the view on a lane of their own."""
    count = config.people
    gap = (config.max_distance_m - config.min_distance_m) / max(1, count - 1)
    side = float(np.clip(gap / 2 - _SHOULDERS_M, *_LANE_SIDE_M)) if count > 1 else _LANE_SIDE_M[1]
    lanes = config.min_distance_m + gap * np.arange(count) if count > 1 else [config.max_distance_m]
    actors: list[Actor] = []
    for i, distance in enumerate(rng.permutation(lanes)):
        end = np.array([_CROSSING_VIEW * config.half_view * distance, 0.0])
        middle = np.array([0.0, distance])
        route = _pace(config, middle - end, middle + end, side * rng.choice((-1, 1)), i / count)
        actors.append(Walking(motions[i], route))
    return Plan(actors)


def _approach(config: SequenceConfig, bodies: list[Body], rng: np.random.Generator, motions: list[Motion]) -> Plan:
    """Let everybody walk towards the camera and away from it, side by side."""
    lanes = (np.arange(config.people) - (config.people - 1) / 2) * _APPROACH_LANE_M
    far, view = config.max_distance_m, _CROSSING_VIEW * config.half_view
    if np.abs(lanes).max() > view * (far - 1):
        raise ConfigurationError(f"{config.people} people who approach side by side need a larger max_distance_m")
    actors: list[Actor] = []
    for i, (lane, motion) in enumerate(zip(lanes, motions, strict=True)):
        near = max(config.min_distance_m, abs(lane) / view)
        route = _pace(config, np.array([lane, far]), np.array([lane, near]), 0.1 * rng.choice((-1, 1)), i / len(lanes))
        actors.append(Walking(motion, route))
    return Plan(actors)


def _pace(config: SequenceConfig, start: FloatArray, end: FloatArray, side_m: float, phase: float) -> Route:
    """Walk to and fro at about 1 m/s; a way that is too long for the loop becomes shorter."""
    length = float(np.linalg.norm(end - start))
    laps = max(1, round(config.loop_s / (2 * length / _SPEED_M_S + 2 * _TURN_S)))
    longest = (config.loop_s / laps / 2 - _TURN_S) * 1.25 * _SPEED_M_S
    shrunk = min(1.0, longest / length)
    middle = (start + end) / 2
    start, end = middle + shrunk * (start - middle), middle + shrunk * (end - middle)
    return to_and_fro(start, end, side_m, laps, config.loop_s, _TURN_S, phase)


def _hide(config: SequenceConfig, bodies: list[Body], rng: np.random.Generator, motions: list[Motion]) -> Plan:
    """Let one or two people walk behind a board or out of the image while the others stand beside."""
    lanes = [config.max_distance_m]
    if config.people > 2 and lanes[0] - _HIDING_LANE_M > max(config.min_distance_m, _NEAREST_HIDING_M):
        lanes.append(lanes[0] - _HIDING_LANE_M)
    hiding = Hiding.of(config, min(lanes))
    actors: list[Actor] = []
    for i, lane in enumerate(lanes):
        actors.append(hide(config, hiding, bodies[i], motions[i], lane, i / len(lanes), rng))
    others = config.people - len(lanes)
    room = (hiding.free[1] - hiding.free[0]) * config.max_distance_m
    if room < others * _BESIDE_M:
        raise ConfigurationError(f"there is no room for {others} people who stand beside those who hide")
    places = stand_side_by_side(config, others, rng, hiding.free)
    actors += [Standing(motion, place(*pose)) for motion, pose in zip(motions[len(lanes) :], places, strict=True)]
    return Plan(actors, blocks=hiding.blocks)

"""Clothes of any colour and pattern for simulated bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pose_perception.simulation.kinematics import FloatArray
from pose_perception.simulation.people import PARTS, Body

# The part of the body whose most frequent colour tells the colour of a garment.
_GARMENTS = {"shirt": ("torso",), "trousers": ("left_thigh", "right_thigh"), "shoes": ("left_foot", "right_foot")}
_SHORTS, _LIKE_SKIN = 0.2, 0.08


def redress(body: Body, rng: np.random.Generator) -> Body:
    """Give a body skin, hair and clothes of random colours, patterns and looseness.

    Args:
        body: As `simulation.people.create_bodies` makes it.
        rng: Source of the choice.
    """
    colors = body.colors.copy()
    bare = _most_frequent(body, ("left_hand", "right_hand"))
    is_skin = (body.colors == bare).all(axis=1)
    skin = np.clip(bare * rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3), 0.02, 1)
    colors[is_skin] = skin
    for garment, parts in _GARMENTS.items():
        worn = (body.colors == _most_frequent(body, parts)).all(axis=1)
        if garment == "trousers" and rng.random() < _SHORTS:
            shins = np.isin(body.parts, [PARTS.index("left_shin"), PARTS.index("right_shin")])
            colors[worn & shins] = skin
            worn &= ~shins
        colors[worn] = skin if rng.random() < _LIKE_SKIN else _cloth(body.vertices[worn], rng)
    hair = (body.parts == PARTS.index("head")) & ~is_skin & (body.colors.sum(axis=1) < 1.2)
    colors[hair] *= rng.uniform(0.5, 2.5)
    vertices = body.vertices + _looseness(body, is_skin, rng)
    return replace(body, vertices=vertices, colors=np.clip(colors, 0, 1).astype(np.float32))


def _most_frequent(body: Body, parts: tuple[str, ...]) -> FloatArray:
    there = body.colors[np.isin(body.parts, [PARTS.index(part) for part in parts])]
    values, counts = np.unique(there, axis=0, return_counts=True)
    return values[counts.argmax()]


def _looseness(body: Body, is_skin: np.ndarray, rng: np.random.Generator) -> FloatArray:
    """Offsets (V, 3) of cloth that stands off the trunk and the limbs, away from the vertical axis, metres."""
    limbs = ~is_skin & (body.parts != PARTS.index("head"))
    out = body.vertices - body.vertices.mean(axis=0)
    flat = out * (1, 1, 0) / (np.linalg.norm(out[:, :2], axis=1, keepdims=True) + 1e-6)
    wavy = 1 + 0.5 * np.sin(body.vertices @ rng.normal(0, 25, 3))
    return (limbs * rng.uniform(0, 0.02) * wavy)[:, None] * flat


def _cloth(points: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Colours (N, 3) of cloth at points (N, 3), metres."""
    first, second = _color(rng), _color(rng)
    patterns: tuple[Callable[[], FloatArray], ...] = (
        lambda: np.zeros(len(points)),
        lambda: np.zeros(len(points)),
        lambda: (np.sin(points @ _direction(rng) * 2 * np.pi / rng.uniform(0.05, 0.2)) > rng.uniform(-0.5, 0.5)) * 1.0,
        lambda: (np.sin(points * 2 * np.pi / rng.uniform(0.06, 0.2, 3)).prod(axis=1) > 0) * 1.0,
        lambda: 0.5 + 0.5 * np.sin(points @ rng.normal(0, 40, (3, 6))).sum(axis=1) / 3,
        lambda: (np.linalg.norm(points - points[rng.integers(len(points))], axis=1) < rng.uniform(0.08, 0.2)) * 1.0,
    )
    share = patterns[rng.integers(len(patterns))]()
    return first + share[:, None] * (second - first)


def _color(rng: np.random.Generator) -> FloatArray:
    grey = rng.uniform(0.03, 0.95)
    return np.clip(grey + rng.uniform(0, 0.45) * rng.normal(size=3), 0.02, 1)


def _direction(rng: np.random.Generator) -> FloatArray:
    return np.eye(3)[rng.choice(3, p=(0.2, 0.1, 0.7))]

"""A known object looked for in a whole image: likely places first, the best of them to the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.objects.candidates import Candidates, Rough
from pose_perception.objects.crops import Observation, middles
from pose_perception.objects.palette import Palette
from pose_perception.objects.registration import LEAST_POINTS, REACH, Registration, SearchedModel, points_around
from pose_perception.objects.segmentation import Scene

# Hypotheses by which a place is judged.
_FIRSTS = 4
# What makes a place likely, up to a constant: weights of how well the first hypothesis fits the depth, of how much the
# surroundings are those of the model, of the network's best logit, and of what goes on beyond the outline. The maximum
# likelihood of the right places of 123 simulated objects.
_FIT, _WORTH, _LOGIT, _CONTINUED = 2.7, 4.6, 0.8, -4.7
# Of what fits a hypothesis, at least this share is on no plane: of 242 right ones it was 0.35 or more, of wrong ones
# that lay in walls and tables 0.03 to 0.07.
_LEAST_STANDING = 0.2


def explore(
    registration: Registration,
    searched: SearchedModel,
    palette: Palette,
    scene: Scene,
    seen: Observation,
    known: Sequence[FloatArray] = (),
    more: int = 0,
) -> list[Candidates]:
    """Return the candidates at the best places, one entry a place.

    Args:
        registration: Finds poses at one place.
        searched: What to look for.
        palette: Its colours.
        scene: Where things stand out.
        seen: The image, of which is known what lies on no plane.
        known: Poses of objects of this model that need not be found, shape (4, 4) each.
        more: How many to look for besides one.
    """
    model, config = searched.model, registration.config
    assert seen.standing is not None
    proposals: list[tuple[Rough, float]] = []
    for place in scene.places(palette, model, known, more):
        points = points_around(seen.standing, seen.intrinsics, place.middle, REACH * model.radius)
        rough = registration.propose(searched, seen, points, None)
        if rough is not None:
            proposals.append((rough, place.worth))
    found = []
    for rough in _best(registration, searched, seen, proposals)[: config.places + more]:
        middle = middles(rough.camera_from_object[:1], model.center)[0]
        points = _points_of(seen, middle, REACH * model.radius)
        if len(points) >= LEAST_POINTS:
            candidates = registration.finish(searched, seen, rough, points, None)
            if candidates.evidence.standing[0] > _LEAST_STANDING:
                found.append(candidates)
    return found


def search_at(
    registration: Registration, searched: SearchedModel, seen: Observation, middle: FloatArray
) -> Candidates | None:
    """Return the candidates at one place, which an object is known to be at; None when too little is measured there.

    Args:
        registration: Finds poses at one place.
        searched: What is there.
        seen: As for `explore`.
        middle: Of the object, camera frame, shape (3,), metres.
    """
    points = _points_of(seen, middle, REACH * searched.model.radius)
    return registration.register(searched, seen, points, None)


def _points_of(seen: Observation, middle: FloatArray, radius: float) -> FloatArray:
    """Return what lies on no plane within a sphere, or all that was measured there when that is too little."""
    assert seen.standing is not None
    points = points_around(seen.standing, seen.intrinsics, middle, radius)
    return points if len(points) >= LEAST_POINTS else points_around(seen.depth, seen.intrinsics, middle, radius)


def _best(
    registration: Registration, searched: SearchedModel, seen: Observation, proposals: list[tuple[Rough, float]]
) -> list[Rough]:
    """Return the proposals, one a place, the likeliest first, without those that are parts of planes."""
    if not proposals:
        return []
    firsts = [rough.camera_from_object[:_FIRSTS] for rough, _ in proposals]
    accept = registration.accept(searched, seen, np.concatenate(firsts))
    ends = np.cumsum([len(poses) for poses in firsts])[:-1]
    told = np.array([np.clip(values.max(), -4, 4) for values in np.split(accept, ends)])
    fit, worth = np.array([(rough.score[0], worth) for rough, worth in proposals]).T
    evidence = registration.evidence(searched, seen, np.stack([poses[0] for poses in firsts]))
    likely = _FIT * fit + _WORTH * worth + _LOGIT * told + _CONTINUED * evidence.continued
    return [proposals[i][0] for i in np.argsort(-likely) if evidence.standing[i] > _LEAST_STANDING]

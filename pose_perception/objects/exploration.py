"""A known object looked for in a whole image: likely places first, the best of them to the end."""

from __future__ import annotations

import numpy as np

from pose_perception.objects.candidates import Candidates, Rough
from pose_perception.objects.crops import Observation, middles
from pose_perception.objects.registration import LEAST_POINTS, REACH, Registration, SearchedModel, points_around
from pose_perception.objects.segmentation import Palette, Scene

# Hypotheses by which a place is judged.
_FIRSTS = 4


def explore(
    registration: Registration, searched: SearchedModel, palette: Palette, scene: Scene, seen: Observation
) -> list[Candidates]:
    """Return the candidates at the best places, one entry a place.

    Args:
        registration: Finds poses at one place.
        searched: What to look for.
        palette: Its colours.
        scene: Where things stand out.
        seen: The image.
    """
    model, config = searched.model, registration.config
    proposals = []
    for place in scene.places(palette, model.radius):
        points = scene.points_near(place.middle, REACH * model.radius)
        rough = registration.propose(searched, seen, points, None)
        if rough is not None:
            proposals.append(rough)
    found = []
    for rough in _best(registration, searched, seen, proposals)[: config.places]:
        middle = middles(rough.camera_from_object[:1], model.center)[0]
        points = points_around(seen, middle, REACH * model.radius)
        if len(points) >= LEAST_POINTS:
            found.append(registration.finish(searched, seen, rough, points, None))
    return found


def _best(
    registration: Registration, searched: SearchedModel, seen: Observation, proposals: list[Rough]
) -> list[Rough]:
    """Return the proposals, one a place, by how much their first hypotheses convince the network."""
    if len(proposals) < 2:
        return proposals
    firsts = [rough.camera_from_object[:_FIRSTS] for rough in proposals]
    merit = registration.merit(searched, seen, np.concatenate(firsts))
    ends = np.cumsum([len(poses) for poses in firsts])[:-1]
    order = np.argsort([-values.max() for values in np.split(merit, ends)])
    return [proposals[i] for i in order]

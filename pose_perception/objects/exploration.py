"""A known object looked for in a whole image: likely places first, the best of them to the end."""

from __future__ import annotations

from pose_perception.objects.candidates import Candidates
from pose_perception.objects.crops import Observation, middles
from pose_perception.objects.registration import LEAST_POINTS, REACH, Registration, SearchedModel, points_around
from pose_perception.objects.segmentation import Palette, Scene


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
    model = searched.model
    proposals = []
    for place in scene.places(palette, model.radius):
        points = scene.points_near(place.middle, REACH * model.radius)
        rough = registration.propose(searched, seen, points, None)
        if rough is not None:
            proposals.append((float(rough.score.max()) + place.worth, rough))
    proposals.sort(key=lambda item: -item[0])
    found = []
    for _, rough in proposals[: registration.config.places]:
        middle = middles(rough.camera_from_object[:1], model.center)[0]
        points = points_around(seen, middle, REACH * model.radius)
        if len(points) >= LEAST_POINTS:
            found.append(registration.finish(searched, seen, rough, points, None))
    return found

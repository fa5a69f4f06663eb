"""Labels of people in COCO's format, whoever wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_perception.datatypes import FloatArray
from pose_perception.errors import InvalidInputError
from pose_perception.human.topology import COCO_17


@dataclass(frozen=True)
class LabelledPicture:
    """One picture and its labels.

    Attributes:
        id: As the file of labels names it.
        path: The picture.
        annotations: One entry a label, as `pycocotools` wants them, without `id`.
    """

    id: Any
    path: Path
    annotations: tuple[dict[str, Any], ...]

    @property
    def boxes(self) -> FloatArray:
        """True boxes (x0, y0, x1, y1) of the people with labelled keypoints, shape (N, 4), px."""
        corners = self._of_people("bbox").reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        return corners

    @property
    def keypoints(self) -> FloatArray:
        """Keypoints of the same people, shape (N, 17, 3): x and y in px, and COCO's flag, 0 where not labelled."""
        return self._of_people("keypoints").reshape(-1, len(COCO_17), 3)

    def _of_people(self, field: str) -> FloatArray:
        people = [note[field] for note in self.annotations if note["num_keypoints"] and not note["iscrowd"]]
        return np.array(people, float)


@dataclass(frozen=True)
class Labels:
    """Pictures with labelled people.

    Attributes:
        pictures: In the order of the file.
        person: The number of the category.
    """

    pictures: tuple[LabelledPicture, ...]
    person: int

    @property
    def people(self) -> int:
        """The number of people with labelled keypoints."""
        return sum(len(picture.boxes) for picture in self.pictures)

    def first(self, count: int) -> Labels:
        """Return the first pictures only."""
        return replace(self, pictures=self.pictures[:count])

    def as_coco(self) -> dict[str, Any]:
        """Return them as the content of a file; ids of annotations begin with 1, as 0 means no match in pycocotools."""
        notes = [note for picture in self.pictures for note in picture.annotations]
        return {
            "images": [{"id": picture.id, "file_name": picture.path.name} for picture in self.pictures],
            "categories": [{"id": self.person, "name": "person"}],
            "annotations": [{**note, "id": i} for i, note in enumerate(notes, start=1)],
        }


def read_labels(annotations: Path, images: Path) -> Labels:
    """Read a file of labels and look for its pictures.

    Args:
        annotations: Labels of people in COCO's format: its 17 keypoints; what else is labelled does not matter. Areas
            and numbers of keypoints are made where there are none.
        images: Folder of the pictures.

    Raises:
        InvalidInputError: the labels cannot be read or have no keypoints, or a picture is missing.
    """
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
        person = _person_category(content.get("categories") or [])
        notes: dict[Any, list[dict[str, Any]]] = {picture["id"]: [] for picture in content["images"]}
        for note in _people(content.get("annotations") or [], person):
            notes.get(note["image_id"], []).append(note)
        pictures = tuple(
            LabelledPicture(picture["id"], images / picture["file_name"], tuple(notes[picture["id"]]))
            for picture in content["images"]
        )
    except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        reason = f"no {error} in it" if isinstance(error, KeyError) else error
        raise InvalidInputError(f"cannot read the labels {annotations} as COCO keypoints: {reason}") from error
    except InvalidInputError as error:
        raise InvalidInputError(f"{annotations}: {error}") from error
    labels = Labels(pictures, person)
    if not labels.people:
        raise InvalidInputError(f"{annotations} labels no keypoints of any person in its {len(pictures)} pictures")
    _check_pictures(pictures, images)
    return labels


def _person_category(categories: Sequence[dict[str, Any]]) -> int:
    names = list(COCO_17.keypoints)
    for category in categories:
        if category.get("keypoints") == names or (category.get("name") == "person" and "keypoints" not in category):
            return category["id"]
    others = [str(category.get("name")) for category in categories if "keypoints" in category]
    if others:
        raise InvalidInputError(
            f"the keypoints of {', '.join(others)} are not COCO's 17: {', '.join(names[:3])}, … {names[-1]}"
        )
    raise InvalidInputError("no category has keypoints: labels of person keypoints are needed")


def _people(annotations: Sequence[dict[str, Any]], person: int) -> Iterator[dict[str, Any]]:
    """Yield the usable labels of people with everything that pycocotools reads."""
    for note in annotations:
        if note.get("category_id") != person or "keypoints" not in note:
            continue
        values = np.array(note["keypoints"], float)
        if values.shape != (3 * len(COCO_17),):
            raise InvalidInputError(
                f"the label {note.get('id')} has {values.size} numbers for keypoints, not {3 * len(COCO_17)}"
            )
        keypoints = values.reshape(-1, 3)
        labelled = keypoints[keypoints[:, 2] > 0, :2]
        box = note.get("bbox")
        if box is None:
            if not len(labelled):
                continue
            box = [*labelled.min(axis=0), *np.ptp(labelled, axis=0)]
        box = [float(value) for value in box]
        if len(box) != 4:
            raise InvalidInputError(f"the box of the label {note.get('id')} has {len(box)} numbers, not 4")
        yield {
            "image_id": note["image_id"],
            "category_id": person,
            "keypoints": values.tolist(),
            "num_keypoints": len(labelled),
            "bbox": box,
            "area": float(note.get("area", box[2] * box[3])),
            "iscrowd": int(note.get("iscrowd", 0)),
        }


def _check_pictures(pictures: Sequence[LabelledPicture], folder: Path) -> None:
    missing = [picture.path for picture in pictures if not picture.path.is_file()]
    if missing:
        raise InvalidInputError(
            f"{len(missing)} of {len(pictures)} labelled pictures are not in {folder}: {missing[0].name} is the first"
        )

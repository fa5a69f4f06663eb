"""Command `objects`: poses of known objects in folders of images, and preparation of models."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from pose_perception.errors import ConfigurationError, InvalidInputError
from pose_perception.recording.bop import BopScene, list_models
from pose_perception.recording.bop_results import BopResult, write_results
from pose_perception.recording.json_files import check_output


def add_parser(subparsers: Any) -> None:
    """Add the command to the subparsers of an `argparse.ArgumentParser`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "objects", help="6D poses of known objects in a scene folder, or `objects add` to prepare a mesh"
    )
    parser.add_argument(
        "--scene", type=Path, nargs="+", metavar="DIR", help="folders in BOP's layout, named by numbers"
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of models in BOP's layout")
    parser.add_argument(
        "--masks", choices=("visib",), help="look where mask_visib of the labels says; otherwise it finds them itself"
    )
    parser.add_argument("--objects", metavar="N,N,...", help="numbers of the objects to look for; all otherwise")
    parser.add_argument(
        "--instances", type=int, default=1, help="how many objects of each model an image may show (%(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="CSV", help="where the results go, in BOP's format")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="where networks run")
    parser.set_defaults(run=run_objects)
    actions = parser.add_subparsers(dest="action", metavar="add")
    add = actions.add_parser("add", help="check a mesh, find its symmetries, and draw what it looks like")
    add.add_argument("mesh", type=Path, help="obj, ply, stl, glb, dae, ...")
    add.add_argument("--name", help="name of the object; that of the file otherwise")
    add.add_argument("--mesh-scale", type=float, default=1.0, help="metres per unit of the mesh (%(default)s)")
    add.add_argument("--folder", type=Path, default=Path("objects"), help="where it goes (%(default)s)")
    add.set_defaults(run=run_add)


def run_objects(args: argparse.Namespace) -> int:
    """Execute `objects`; returns its exit code.

    Raises:
        PosePerceptionError: an argument or a file cannot be used.
    """
    from pose_perception.objects.library import load_bop_model
    from pose_perception.objects.pipeline import ObjectPipeline, ObjectPipelineConfig
    from pose_perception.objects.tracking import ObjectTrackingConfig

    if args.scene is None or args.models is None or args.out is None:
        raise ConfigurationError("objects needs --scene, --models and --out; or `objects add MESH`")
    check_output(args.out, "--out")
    scenes = [BopScene(path) for path in args.scene]
    known = list_models(args.models)
    chosen = _chosen(args.objects, list(known))
    models = {number: load_bop_model(known[number]) for number in chosen}
    numbers = {model.name: number for number, model in models.items()}
    # Doubtful results are written too: the score tells how doubtful.
    tracking = ObjectTrackingConfig(found=0.0)
    config = ObjectPipelineConfig(device=args.device, searches=0, instances=args.instances, tracking=tracking)
    pipeline = ObjectPipeline(list(models.values()), config)
    pipeline.warm_up()
    results: list[BopResult] = []
    for scene in scenes:
        for im_id in scene.im_ids:
            pipeline.reset()  # the images of a scene are no video
            frame = scene.read(im_id)
            regions = _regions(scene, im_id, models) if args.masks else None
            start = time.perf_counter()
            found = pipeline.process(frame, regions)
            seconds = time.perf_counter() - start
            results += [
                BopResult(scene.scene_id, im_id, numbers[one.model], one.score, one.camera_from_object, seconds)
                for one in found
            ]
    write_results(args.out, results)
    print(f"{len(results)} poses in {sum(len(scene.im_ids) for scene in scenes)} images: {args.out}")
    return 0


def _chosen(text: str | None, known: list[int]) -> list[int]:
    if text is None:
        return known
    try:
        chosen = [int(word) for word in text.split(",")]
    except ValueError as error:
        raise ConfigurationError(f"--objects takes numbers such as 2,5,15, got {text!r}") from error
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise ConfigurationError(f"there is no model {unknown[0]}; there are {', '.join(map(str, known))}")
    return list(dict.fromkeys(chosen))


def _regions(scene: BopScene, im_id: int, models: dict[int, Any]) -> list[Any]:
    from pose_perception.objects.datatypes import ObjectRegion

    if not scene.is_labelled:
        raise InvalidInputError(f"--masks visib needs labels, and {scene.path} has no scene_gt.json")
    return [
        ObjectRegion(scene.visible_mask(im_id, index), models[label.obj_id].name)
        for index, label in enumerate(scene.truth(im_id))
        if label.obj_id in models
    ]


def run_add(args: argparse.Namespace) -> int:
    """Execute `objects add`; returns its exit code.

    Raises:
        InvalidInputError: the mesh cannot be used.
    """
    import cv2

    from pose_perception.objects.library import DESCRIPTION, write_description
    from pose_perception.objects.model import load_model
    from pose_perception.objects.preview import draw_preview

    if args.name is not None and not re.fullmatch(r"[\w.-]*\w[\w.-]*", args.name):
        raise ConfigurationError(f"a name has letters, digits, '_', '-' and '.', got {args.name!r}")
    model = load_model(args.mesh, args.name, args.mesh_scale)
    folder = args.folder / model.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _copy(args.mesh, folder)
        write_description(folder / f"{model.name}{DESCRIPTION}", args.mesh.name, model, args.mesh_scale)
    except OSError as error:
        raise InvalidInputError(f"{folder} cannot be written: {error}") from error
    cv2.imwrite(str(folder / "preview.png"), draw_preview(model)[..., ::-1])
    size = " x ".join(f"{1000 * edge:.0f}" for edge in model.size)
    kinds = len(model.symmetries.same)
    turns = (
        "a surface of revolution" if model.symmetries.axis is not None else f"{kinds} orientation(s) that look the same"
    )
    color = "coloured" if model.surface.has_color else "no colour: sides that only a picture tells apart stay unknown"
    print(f"{model.name}: {size} mm, {len(model.mesh.faces)} faces, {color}, {turns}; {folder}")
    return 0


def _copy(mesh: Path, folder: Path) -> None:
    """Copy a mesh, and what lies beside an .obj or .gltf and may belong to it."""
    files = [mesh]
    if mesh.suffix.lower() in (".obj", ".gltf", ".dae"):
        kinds = (".mtl", ".png", ".jpg", ".jpeg", ".bin")
        files += [file for file in mesh.parent.iterdir() if file.suffix.lower() in kinds and file.is_file()]
    for file in files:
        if not (folder / file.name).exists() or not os.path.samefile(file, folder / file.name):
            shutil.copyfile(file, folder / file.name)

"""Tests for the dependency rule: who may import whom, where ROS 2 may appear, and what must not load at start."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pose_perception

PACKAGE = Path(pose_perception.__file__).parent
# From the bottom to the top; an import goes downwards, or stays in its own part.
LAYERS = (
    {"errors"},
    {"datatypes", "config"},
    {"geometry"},
    {"networks", "recording"},
    {"human", "objects", "imitation"},
    {"simulation"},  # renders the meshes of `objects`
    {"evaluation", "training"},
    {"ros"},
    {"nodes"},
    {"cli"},
)
ROS_PARTS = {"ros", "nodes"}
ROS_MODULES = {"rclpy", "ament_index_python", "builtin_interfaces", "launch", "launch_ros", "std_srvs", "tf2_ros"}
SLOW_MODULES = {"torch", "torchvision", "open3d", "trimesh", "anny", "pinocchio", "coal"}
# Made of torch, and themselves imported only where a network is converted or runs on CUDA.
_TORCH_PARTS = ("networks.importers.", "networks.architectures.", "networks.cuda_backend", "training.")
MADE_OF_TORCH = tuple(f"pose_perception.{part}" for part in _TORCH_PARTS)

MODULES = {
    ".".join(("pose_perception", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in {"msg", "srv", "__init__.py"}
}


def part_of(module: str) -> str:
    """Return the part directly under the package, "" for the package itself or another one."""
    names = module.split(".")
    return names[1] if names[0] == "pose_perception" and len(names) > 1 else ""


def imports(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Yield the full name of everything imported anywhere in a module, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".") if is_package else module.split(".")[:-1]
            base = parents[: len(parents) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))


def is_ros(name: str) -> bool:
    top = name.split(".")[0]
    return top in ROS_MODULES or top.endswith("_msgs") or part_of(name) in {"msg", "srv"}


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return the imports of a module that the rule forbids."""
    rank = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    own = part_of(module)
    assert own in rank, f"{module} is in no layer: add it to LAYERS where it belongs"
    found = []
    for name in imports(source, module, is_package):
        other = part_of(name)
        upwards = other in rank and other != own and rank[other] >= rank[own]
        if upwards or (is_ros(name) and own not in ROS_PARTS):
            found.append(f"{module} imports {name}")
    return found


def test_imports_go_downwards() -> None:
    assert len(MODULES) > 30

    found = {
        module: violations(path.read_text(), module, path.name == "__init__.py") for module, path in MODULES.items()
    }

    assert [wrong for wrongs in found.values() for wrong in wrongs] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pose_perception.human.pipeline", "import rclpy"),
        ("pose_perception.human.pipeline", "def f():\n    from sensor_msgs.msg import Image"),  # lazily
        ("pose_perception.human.pipeline", "from pose_perception import msg"),
        ("pose_perception.human.pipeline", "from ..ros import conversions"),  # relatively
        ("pose_perception.human.pipeline", "from .. import nodes"),
        ("pose_perception.human.pipeline", "from pose_perception.simulation.scene import Scene"),  # sideways
        ("pose_perception.networks.runtime", "importlib.import_module('pose_perception.human.lifting')"),
        ("pose_perception.geometry.camera", "import pose_perception.networks.weights"),
        ("pose_perception.evaluation.coco", "from pose_perception.ros.worker import Worker"),
        ("pose_perception.ros.worker", "from pose_perception.nodes import human_pose"),
    ],
)
def test_forbidden_imports_are_found(module: str, source: str) -> None:
    assert violations(source, module)


def test_nothing_slow_is_imported_at_the_top_of_a_node() -> None:
    for module, path in MODULES.items():
        statements = [
            node for node in ast.parse(path.read_text()).body if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        names = {name.split(".")[0] for name in imports("\n".join(map(ast.unparse, statements)), module)}

        assert part_of(module) not in ROS_PARTS or not names & SLOW_MODULES, module


def test_nothing_slow_and_no_ros_is_loaded_by_importing_the_core() -> None:
    core = [name for name in MODULES if part_of(name) not in ROS_PARTS and not name.startswith(MADE_OF_TORCH)]
    assert "pose_perception.human.pipeline" in core
    program = (
        f"import importlib, sys\nfor name in {core}: importlib.import_module(name)\nprint(*sys.modules, sep='\\n')"
    )

    # The parent of the package is wherever this test got it from: the sources or what is installed.
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent, check=True
    )

    loaded = set(result.stdout.split())
    assert not {name for name in loaded if name in SLOW_MODULES or is_ros(name)}

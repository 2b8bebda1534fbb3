"""The order of the house: a file imports only files above it, and pipeline and model never meet."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = {
    "pipeline": [
        "__init__",
        "jpeg",
        "schema",
        "vocab",
        "texts",
        "images",
        "corpora.source",
        "corpora.listing",
        "corpora.splits",
        "corpora.paths",
        "corpora.grid",
        "corpora.lrw",
        "corpora.lrs",
        "corpora.folder",
        "corpora.lips",
        "corpora.face",
        "corpora.actor",
        "corpora.speech",
        "corpora.synthetic",
        "corpora.layouts",
        "corpora.__init__",
        "pixels",
        "video",
        "landmarks",
        "mouth",
        "checks",
        "index",
        "shards",
        "tfds_files",
        "pool",
        "done",
        "unit",
        "claim",
        "journal",
        "finish",
        "convert",
        "forecast",
        "windows",
        "mixture",
        "memory",
        "reader",
        "table",
        "plan",
        "augment",
        "assemble",
        "dataset",
        "position",
        "device",
        "preview",
        "stats",
        "compare",
        "report",
    ],
    "model": [
        "__init__",
        "errors",
        "batch",
        "toom_cook",
        "vgg_m",
        "sequence",
        "lipreader",
        "losses",
        "metrics",
        "lexicon",
        "decoding",
        "alignment",
        "run",
        "step",
        "train",
        "evaluate",
        "spelling",
        "export",
        "streaming",
    ],
    "scripts": [
        "__init__",
        "cli",
        "steps",
        "results",
        "runs",
        "decoders",
        "page",
        "charts",
        "dataset_page",
        "score_page",
        "board",
        "captions",
        "sources",
        "overlay",
        "convert",
        "records",
        "train",
        "evaluate",
        "transcribe",
        "export",
        "demo",
        "reproduce",
        "benchmarks.__init__",
        "benchmarks.measure",
        "benchmarks.convert_way",
        "benchmarks.convert_shares",
        "benchmarks.usual_way",
        "benchmarks.peers.mediapipe_way",
        "benchmarks.convert",
        "benchmarks.encodings_way",
        "benchmarks.encodings",
        "benchmarks.peers.consumer",
        "benchmarks.peers.torch_way",
        "benchmarks.peers.webdataset_way",
        "benchmarks.peers.grain_way",
        "benchmarks.peers.dmvr_way",
        "benchmarks.peers.tutorial_way",
        "benchmarks.read_export",
        "benchmarks.read_way",
        "benchmarks.read",
        "benchmarks.sequence_way",
        "benchmarks.sequence",
        "benchmarks.layers_way",
        "benchmarks.layers",
        "benchmarks.device_way",
        "benchmarks.device",
        "benchmark",
    ],
}
MAY_IMPORT = {"pipeline": {"pipeline"}, "model": {"model"}, "scripts": {"pipeline", "model", "scripts"}}
PLACES = {f"{package}.{name}": place for package, names in ORDER.items() for place, name in enumerate(names)}
FILES = sorted(path for package in ORDER for path in (ROOT / package).rglob("*.py"))


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def house_imports(source: str) -> set[str]:
    """The modules of the house that a file imports, on any line; `.x` for a relative import."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {_known(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found |= {_known(base, alias.name) for alias in node.names}
    return {name for name in found if name.split(".")[0] in {*ORDER, ""}}


def _known(base: str, name: str = "") -> str:
    """`pipeline`, `plan` -> `pipeline.plan`; `pipeline.plan`, `words` -> `pipeline.plan`."""
    candidates = (f"{base}.{name}", base, f"{base}.__init__")
    return next((candidate for candidate in candidates if candidate in PLACES), base)


def problems(name: str, source: str) -> list[str]:
    """What a file of the house does against its order."""
    if name not in PLACES:
        return [f"{name} has no place in ORDER"]
    package = name.split(".")[0]
    found = []
    for imported in sorted(house_imports(source)):
        other = imported.split(".")[0]
        if other not in MAY_IMPORT[package]:
            found.append(f"{name} imports {imported}, of another package")
        elif other == package and PLACES.get(imported, len(PLACES)) >= PLACES[name]:
            found.append(f"{name} imports {imported}, which is not above it")
        elif imported not in PLACES:
            found.append(f"{name} imports {imported}, which has no place in ORDER")
    return found


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_point_upward(path: Path) -> None:
    assert problems(module(path), path.read_text()) == []


def test_every_place_is_taken() -> None:
    assert sorted(PLACES) == sorted(module(path) for path in FILES)


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[-2] != "scripts"], ids=module)
def test_flags_are_read_by_scripts_alone(path: Path) -> None:
    names = [
        getattr(node, "module", None) or alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert not any(name.split(".")[0] == "absl" for name in names)


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        ("pipeline.schema", "from pipeline import vocab", "not above"),
        ("pipeline.schema", "from pipeline.schema import Key", "not above"),
        ("pipeline.vocab", "def f():\n    from pipeline.plan import words", "not above"),
        ("pipeline.stats", "import model.run", "another package"),
        ("pipeline.stats", "from model import run", "another package"),
        ("model.train", "from pipeline.schema import BatchKey", "another package"),
        ("model.run", "import scripts.cli", "another package"),
        ("pipeline.stats", "from . import plan", "another package"),
        ("scripts.cli", "from scripts import train", "not above"),
        ("scripts.train", "import pipeline.lost", "no place"),
        ("pipeline.unlisted", "", "no place"),
    ],
)
def test_the_order_can_be_broken(name: str, source: str, problem: str) -> None:
    found = problems(name, source)
    assert len(found) == 1
    assert problem in found[0]

"""WORKSPACE.md says of the code what is so."""

import re
from pathlib import Path

from pipeline.schema import Reason
from tests.test_import_order import ORDER

PAGE = (Path(__file__).parents[1] / "WORKSPACE.md").read_text(encoding="utf-8")


def house() -> dict[str, list[str]]:
    """The modules of the house's list in its order, by package; what is below corpora/ stands two spaces further in."""
    found: dict[str, list[str]] = {}
    for line in PAGE.partition("# The path of the data")[0].splitlines():
        if head := re.match(r"    (\w+)/ ", line):
            found[head[1]] = modules = []
        elif row := re.match(r"      (  )?((?:\w+\.\w+(?: |$))+)", line):
            names = [name.removesuffix(".py") for name in row[2].split() if name.endswith(".py")]
            modules += [f"corpora.{name}" if row[1] else name for name in names]
    return {package: modules for package, modules in found.items() if modules}


def test_the_houses_list_is_the_order_of_imports() -> None:
    assert house() == {
        package: [name for name in names if not name.endswith("__init__") and not name.startswith("benchmarks.")]
        for package, names in ORDER.items()
    }


def test_each_reason_for_a_reject_is_explained() -> None:
    table = PAGE.partition("| reason (`schema.Reason`) |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines()[2:]]
    assert sorted(name for names, _ in rows for name in names.strip().split(", ")) == sorted(Reason)
    assert all(said.strip() for _, said in rows)

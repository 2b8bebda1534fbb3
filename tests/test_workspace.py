"""WORKSPACE.md says of the code what is so."""

import re
from pathlib import Path

from pipeline.schema import Reason

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "WORKSPACE.md").read_text(encoding="utf-8")


def rooms() -> list[str]:
    """The files that the list of rooms names, each below the folders that its indentation says."""
    listed = PAGE.partition("# The rooms")[2].partition("# The path of the data")[0]
    folders, found = {}, []
    for line in listed.splitlines():
        if row := re.match(r"    ( *)((?:\w+(?:/|\.py) ?)+)", line):
            depth = len(row[1])
            parent = folders.get(depth - 2, "")
            for name in row[2].split():
                if name.endswith("/"):
                    folders = {level: path for level, path in folders.items() if level < depth} | {depth: parent + name}
                else:
                    found.append(parent + name)
    return found


def test_the_rooms_are_the_files() -> None:
    files = [
        path.relative_to(ROOT).as_posix()
        for package in ("pipeline", "model", "scripts")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py" and "benchmarks" not in path.parts
    ]
    assert sorted(rooms()) == sorted(files)


def test_each_reason_for_a_reject_is_explained() -> None:
    table = PAGE.partition("| reason (`schema.Reason`) |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines()[2:]]
    assert sorted(name for names, _ in rows for name in names.strip().split(", ")) == sorted(Reason)
    assert all(said.strip() for _, said in rows)

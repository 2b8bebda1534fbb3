"""WORKSPACE.md says of the code what is so."""

from pathlib import Path

from pipeline.schema import Reason

PAGE = (Path(__file__).parents[1] / "WORKSPACE.md").read_text(encoding="utf-8")


def test_each_reason_for_a_reject_is_explained() -> None:
    table = PAGE.partition("| reason (`schema.Reason`) |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines()[2:]]
    assert sorted(name for names, _ in rows for name in names.strip().split(", ")) == sorted(Reason)
    assert all(said.strip() for _, said in rows)

"""Reports of shards that are made elsewhere, late, doubled or begun anew, count each clip once."""

from pipeline.conversion.processes import Completed, Finished, Restarted
from pipeline.conversion.reports import Report, Reports

A, B, C = (Finished(name, name) for name in "abc")


def test_what_was_reported_on_the_way_is_not_told_again_at_the_end() -> None:
    reports = Reports()
    assert list(reports.add("task", Report("k", "1", (A,)))) == [A]
    assert list(reports.add("task", Report("k", "1", (B,)))) == [B]
    assert list(reports.complete("task", Report("k", "1", (A, B, C)))) == [C, Completed("task", (A, B, C))]


def test_a_shard_that_is_begun_anew_voids_what_was_told() -> None:
    reports = Reports()
    assert list(reports.add("task", Report("k", "1", (A, B)))) == [A, B]
    assert list(reports.add("task", Report("k", "2", (A,)))) == [Restarted("task", (A, B)), A]
    assert list(reports.complete("task", Report("k", "3", (A,)))) == [
        Restarted("task", (A,)),
        A,
        Completed("task", (A,)),
    ]


def test_shards_are_told_apart() -> None:
    reports = Reports()
    list(reports.add("one", Report("k1", "1", (A,))))
    assert list(reports.complete("two", Report("k2", "9", (B,)))) == [B, Completed("two", (B,))]

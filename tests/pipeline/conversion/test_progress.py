import errno
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.conversion import progress
from pipeline.conversion.progress import FinishedShard, Rejected, StageSeconds
from pipeline.records.index import Row
from pipeline.schema import DataError, Word
from tests import datasets

WAYS = "make room, or make it writable; then run the same command again to continue"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "out: No space left on device"),
        (OSError(errno.EROFS, "Read-only file system", "out/.lock"), "out/.lock: Read-only file system"),
        (tf.errors.ResourceExhaustedError(None, None, "out/x; No space left"), "out: out/x; No space left"),
    ],
    ids=repr,
)
def test_what_cannot_be_written_is_one_line(error: Exception, said: str) -> None:
    with pytest.raises(DataError) as caught, progress.writing(Path("out")):
        raise error
    assert str(caught.value) == f"{said}; {WAYS}"


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), progress.writing(Path("out")):
        raise KeyError("a bug")


def test_a_shard_is_done_when_noted_and_as_it_was(tmp_path: Path) -> None:
    (tmp_path / progress.PROGRESS).mkdir()
    assert progress.read_note(tmp_path, "a") is None
    (tmp_path / "a").write_bytes(b"12345")
    progress.write_note(tmp_path, FinishedShard("a", 0, 5, "", (), ()))
    assert (progress.read_note(tmp_path, "a").bytes, progress.read_note(tmp_path, "a").records) == (5, 0)
    (tmp_path / "a").write_bytes(b"1234")
    assert progress.read_note(tmp_path, "a") is None
    (tmp_path / "a").unlink()
    assert progress.read_note(tmp_path, "a") is None


def test_a_shard_with_a_damaged_note_is_not_done(tmp_path: Path) -> None:
    (tmp_path / progress.PROGRESS).mkdir()
    (tmp_path / "a").write_bytes(b"12345")
    rows = [
        Row("s1/x", "s1", "bin", 0, 7, 2, 5, 5, (Word("bin", 0, 3),), columns=(("room", "é"),)),
        Row("s1/y", "s1", "at", 23, 7, 2, 6, 6, ()),
    ]
    rejected = [Rejected("s1/é", "s1/é.mp4", "no_face", "no face in any of 9 frames")]
    progress.write_note(tmp_path, FinishedShard("a", 2, 5, "", tuple(rejected), tuple(rows)))
    assert progress.read_note(tmp_path, "a").rows == tuple(rows)
    assert progress.read_note(tmp_path, "a").rejected == tuple(rejected)
    noted = progress.note_path(tmp_path, "a")
    whole = noted.read_bytes()
    for damaged in (*(whole[:at] for at in range(len(whole) - 2)), bytes(len(whole)), b"[]", b"{}", b'"a"', b"7"):
        noted.write_bytes(damaged)
        assert progress.read_note(tmp_path, "a") is None, damaged
    for at in range(len(whole)):
        noted.write_bytes(whole)
        datasets.flip(noted, at)
        found = progress.read_note(tmp_path, "a")
        assert found is None or (found.rows, found.rejected) == (tuple(rows), tuple(rejected)), at  # white space


def test_seconds_add_up() -> None:
    assert StageSeconds(1, 2, 3) + StageSeconds(10, 20, 30) == StageSeconds(11, 22, 33)

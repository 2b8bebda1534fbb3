import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.loading import direct_reader
from pipeline.records import storage
from pipeline.records.directory import DatasetDir
from pipeline.schema import FRAME_BYTES, DataError


def test_a_shard_that_is_cut_after_its_check_is_named(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    shard = tmp_path / "shard"
    shard.write_bytes(bytes(2 * FRAME_BYTES))
    where = np.array([str(shard).encode()], object), np.array([FRAME_BYTES]), np.array([FRAME_BYTES])
    assert direct_reader._read(*where, np.int64(2)).shape == (1, 2, 112, 112)
    os.truncate(shard, FRAME_BYTES + 10)
    with pytest.raises(
        DataError, match=f"{shard} at byte {FRAME_BYTES}: .*the shard ends within it, while it was read"
    ):
        direct_reader._read(*where, np.int64(2))


def test_a_file_is_read_on_where_a_call_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: whole(file, [buffers[0][:7]], at))
    one, two, three = bytearray(10), np.zeros([2, 20], np.uint8), bytearray(0)
    storage.fill(tmp_path / "a", [one, three, two], 30)
    assert bytes(one) + two.tobytes() == bytes(range(30, 80))
    with pytest.raises(ValueError, match="the shard ends"):
        storage.fill(tmp_path / "a", [one, two], 60)

import os
import time
from pathlib import Path

import pytest

from pipeline.records import cache, storage
from pipeline.records.bucket import Url
from pipeline.records.cache import Cache, Key
from pipeline.records.fetch import Fetcher
from pipeline.schema import DataError
from tests import stores
from tests.stores import Store

SHARD = Url(f"s3://{stores.BUCKET}/kept", "v1")


def key(number: int, version: str = "v1") -> Key:
    return Key(Url(SHARD.text, version), 100 * number, 100)


def record(number: int) -> bytes:
    return bytes([number]) * 100


def files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def test_what_is_kept_is_found_by_every_process_that_uses_the_directory(tmp_path: Path) -> None:
    one, other = Cache(tmp_path / "made" / "here", 1000), Cache(tmp_path / "made" / "here", 1000)
    one.keep(key(1), record(1))
    assert other.read(key(1), 0, 100) == record(1)
    assert other.read(key(1), 90, 7) == record(1)[:7]
    assert (other.read(key(2), 0, 100), other.read(key(1, "v2"), 0, 100)) == (None, None)
    other.forget(key(1))
    assert one.read(key(1), 0, 100) is None


def test_it_is_bounded_and_what_was_kept_first_stays(tmp_path: Path) -> None:
    small = Cache(tmp_path, 350)
    for number in range(6):
        small.keep(key(number), record(number))
    assert [small.read(key(number), 0, 100) is not None for number in range(6)] == [True] * 3 + [False] * 3
    assert files(tmp_path) == 3


def test_what_no_run_has_used_lately_makes_room_the_oldest_first(tmp_path: Path) -> None:
    before = Cache(tmp_path, 350)
    for number in range(3):
        before.keep(key(number), record(number))
        path = before._path(key(number))
        os.utime(path, (time.time() - 1000 + number,) * 2)
    today = Cache(tmp_path, 350)
    assert today.read(key(0), 0, 100) == record(0)  # used: the others are older now
    today.keep(key(7), record(7))
    assert [today.read(key(number), 0, 100) is not None for number in (0, 1, 2, 7)] == [True, False, True, True]


def test_what_other_processes_keep_counts(tmp_path: Path) -> None:
    one, other = Cache(tmp_path, 3200), Cache(tmp_path, 3200)
    for number in range(64):
        (one if number % 2 else other).keep(key(number), record(number))
    assert files(tmp_path) <= 32 + 2 * 32 // cache.SHARE + 2


def test_a_file_that_was_cut_is_not_read(tmp_path: Path) -> None:
    kept = Cache(tmp_path, 1000)
    kept.keep(key(1), record(1))
    kept._path(key(1)).write_bytes(b"half")
    assert kept.read(key(1), 0, 2) is None


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file: cannot be used .*name another --cache_dir"):
        Cache(tmp_path / "file", 1000)


def test_a_record_travels_once(store: Store, tmp_path: Path) -> None:
    store.put("kept", record(1) + record(2))
    shard, _, _ = storage.opened(Url(SHARD.text), 4)

    def requests() -> int:
        return sum(each["path"].endswith("/kept") for each in store.requests())

    def sound(found: bytes) -> None:
        if found not in (record(1), record(2)):
            raise ValueError("damaged")

    before, bare = requests(), Fetcher()
    assert bare.checked(shard, 100, 100, sound) == record(2)
    assert bare.span(shard, 100, 100, 20, 10) == record(2)[:10]  # it waited in memory
    assert requests() == before + 1
    assert bare.span(shard, 100, 100, 20, 10) == record(2)[:10]  # and is gone from there
    assert requests() == before + 2
    kept = Cache(tmp_path, 1000)
    assert Fetcher(kept).checked(shard, 0, 100, sound) == record(1)
    assert Fetcher(kept).checked(shard, 0, 100, sound) == Fetcher(kept).span(shard, 0, 100, 0, 100) == record(1)
    assert requests() == before + 3
    kept._path(Key(shard, 0, 100)).write_bytes(bytes(100))
    assert Fetcher(kept).checked(shard, 0, 100, sound) == kept.read(Key(shard, 0, 100), 0, 100) == record(1)
    assert requests() == before + 4
    with pytest.raises(ValueError, match="damaged"):
        Fetcher(kept).checked(shard, 50, 100, sound)
    assert kept.read(Key(shard, 50, 100), 0, 100) is None
    assert requests() == before + 5


def test_records_that_wait_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.records.fetch.MEMORY", 250)
    store.put("kept", b"".join(map(record, range(5))))
    shard, _, _ = storage.opened(Url(SHARD.text), 4)
    fetcher = Fetcher()
    for number in (0, 1, 1, 2, 3, 4):
        fetcher.checked(shard, 100 * number, 100, len)
    assert [key.offset for key in fetcher._waiting] == [0, 100]  # what is read first
    for number in range(5):
        assert fetcher.span(shard, 100 * number, 100, 0, 100) == record(number)
    assert (len(fetcher._waiting), fetcher._size) == (0, 0)

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.records import bucket, storage
from pipeline.records.bucket import Url
from pipeline.schema import DataError, StorageError
from tests import stores
from tests.stores import Store

CONTENT = bytes(range(256)) * 400
GIVEN_UP_S = 25.0  # three attempts of two seconds, and the waits between them
NEVER = ("403", "404", "500", "503", "hang", "drop", "cut")


def url(name: str) -> Url:
    return Url(f"s3://{stores.BUCKET}/{name}")


def test_a_url_is_not_mangled() -> None:
    where = storage.place("s3://bucket/data/grid/")
    assert (str(where), where.bucket, where.key) == ("s3://bucket/data/grid", "bucket", "data/grid")
    assert (str(where / "index.npz"), (where / "a/b").name, str(where.parent)) == (
        "s3://bucket/data/grid/index.npz",
        "b",
        "s3://bucket/data",
    )
    assert storage.place("data/grid") == Path("data/grid")


def test_a_run_lies_on_this_machine() -> None:
    assert storage.local("runs/words") == Path("runs/words")
    with pytest.raises(DataError, match=r"s3://bucket/run: only datasets and corpora may lie in a store"):
        storage.local("s3://bucket/run")


@pytest.mark.parametrize("name", ["http://host/data", "hdfs://host/data", "s3://", "s3:///", "s3:///x/y"])
def test_another_scheme_or_no_bucket_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"want a path, or s3://BUCKET/…, gs://BUCKET/…, az://BUCKET/…"):
        storage.place(name)


def test_what_was_put_is_read_listed_and_removed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(large := CONTENT * 100)  # more than one request, and several parts
    root = url("round")
    bucket.put(root / "a/large", tmp_path / "large")
    bucket.put(root / "empty", b"")
    storage.write_json(root / "list.json", ["é"])
    assert storage.read(root / "a/large") == large
    assert storage.sha256(root / "a/large") == storage.sha256(tmp_path / "large")
    assert storage.read(root / "empty") == b""
    assert store.get("round/list.json").decode() == '[\n "é"\n]\n'
    assert storage.names(root) == ["empty", "list.json"]
    assert (storage.exists(root), storage.is_dir(root), storage.exists(root / "empty")) == (False, True, True)
    assert storage.size(root / "a/large") == len(large)
    assert storage.opened(root / "a/large", 4)[1:] == (len(large), large[-4:])
    assert storage.opened(root / "empty", 4)[1:] == (0, b"")
    storage.remove(root / "empty")
    storage.remove(root / "empty")
    storage.remove_dir(root)
    assert store.keys("round/") == []
    assert not storage.is_dir(root)


def test_a_prefix_is_no_directory(store: Store) -> None:
    bucket.put(url("pre/x2"), b"2")
    assert not storage.exists(url("pre/x"))
    assert not storage.is_dir(url("pre/x"))
    storage.remove_dir(url("pre/x"))
    assert store.get("pre/x2") == b"2"


def test_a_range_is_one_request(store: Store) -> None:
    bucket.put(url("ranged"), CONTENT)
    before = len(store.requests())
    part = bytearray(7), bytearray(0), bytearray(5)
    storage.fill(url("ranged"), list(part), 250)
    assert b"".join(part) == CONTENT[250:262]
    assert [each["range"] for each in store.requests()[before:]] == ["bytes=250-261"]
    for begin in (len(CONTENT) - 3, len(CONTENT) + 9):
        with pytest.raises(ValueError, match="the shard ends within it"):
            storage.fill(url("ranged"), [bytearray(5)], begin)


@pytest.mark.parametrize(("fault", "times"), [("500", 2), ("503", 2), ("hang", 1), ("drop", 2), ("cut", 1)])
def test_a_fault_that_passes_costs_nothing(store: Store, fault: str, times: int) -> None:
    bucket.put(url(f"passing-{fault}"), CONTENT)
    store.rule({"do": fault, "match": f"passing-{fault}", "times": times})
    assert storage.read(url(f"passing-{fault}")) == CONTENT
    assert len([each for each in store.requests() if each["do"] == fault]) >= times


SAID = {
    "403": r"127.0.0.1:\d+ \(AWS_ENDPOINT_URL\) refuses access \(403\); check AWS_ACCESS_KEY_ID and AWS_SECRET_",
    "404": "No such file|no such object",
    "500": r"says 500 .*, 3 attempts \(AWS_MAX_ATTEMPTS\); try again later",
    "503": r"says 503 .*, 3 attempts",
    "hang": r"does not answer within 2000 ms \(S3_REQUEST_TIMEOUT_MSEC\), 3 attempts",
    "drop": r"breaks off, 3 attempts \(AWS_MAX_ATTEMPTS\); check the network",
    "cut": r"breaks off; check the network",
}


@pytest.mark.parametrize("fault", NEVER)
def test_a_fault_that_stays_is_named_in_time(store: Store, fault: str) -> None:
    name = f"staying-{fault}"
    bucket.put(url(name), CONTENT)
    store.rule({"do": fault, "match": name})
    began = time.monotonic()
    with pytest.raises(OSError, match=SAID[fault]) as caught:
        storage.read(url(name))
    assert time.monotonic() - began < GIVEN_UP_S
    assert f"s3://lip/{name}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError if fault == "404" else StorageError)


@pytest.mark.parametrize("fault", [fault for fault in NEVER if fault not in ("404", "cut")])
@pytest.mark.parametrize("size", ["one part", "several parts"])
def test_what_cannot_be_put_has_no_name(store: Store, tmp_path: Path, fault: str, size: str) -> None:
    name = f"half-{fault}-{size.replace(' ', '-')}"
    (tmp_path / "file").write_bytes(CONTENT * (1 if size == "one part" else 120))
    store.rule({"do": fault, "match": name, "method": "PUT", "after": 0 if size == "one part" else 1})
    with pytest.raises(StorageError, match=f"s3://lip/{name}: "), storage.replacing(url(name)) as temporary:
        temporary.write_bytes((tmp_path / "file").read_bytes())
    store.rule()
    assert store.keys(name) == []
    assert not temporary.exists()


def test_a_block_that_fails_puts_nothing(store: Store) -> None:
    with pytest.raises(KeyError), storage.replacing(url("failed")) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise KeyError("stop")
    assert (store.keys("failed"), temporary.exists()) == ([], False)


@pytest.mark.parametrize("now", [CONTENT[::-1], CONTENT[:-1], b"short"])
def test_an_object_that_is_replaced_or_cut_is_never_read(store: Store, now: bytes) -> None:
    bucket.put(url("pinned"), CONTENT)
    opened, _, _ = storage.opened(url("pinned"), 4)
    store.put("pinned", CONTENT)  # the same bytes are the same version
    assert storage.read(opened) == CONTENT
    store.put("pinned", now)
    for begin in (0, len(CONTENT) - 9):
        with pytest.raises(StorageError, match="s3://lip/pinned: was replaced since it was opened; restore the object"):
            storage.fill(opened, [bytearray(9)], begin)


def test_an_object_that_goes_is_named(store: Store) -> None:
    bucket.put(url("goes"), CONTENT)
    opened, _, _ = storage.opened(url("goes"), 4)
    store.remove("goes")
    with pytest.raises(StorageError, match="s3://lip/goes: is gone since it was opened; restore the object"):
        storage.fill(opened, [bytearray(9)], 0)


def test_a_bucket_is_a_directory(store: Store) -> None:
    root = storage.place(f"s3://{stores.BUCKET}")
    bucket.put(root / "top.txt", b"1")
    assert (storage.exists(root), storage.is_no_directory(root), storage.is_dir(root)) == (False, False, True)
    assert "top.txt" in storage.names(root)


def test_a_key_that_is_no_path_is_named(store: Store) -> None:
    store.put("odd//key", b"1")
    with pytest.raises(StorageError, match=r"s3://lip/odd: holds an object whose key is no path \(.*rename it"):
        list(bucket.below(url("odd")))
    store.remove("odd//key")


def test_temporary_files_of_another_user_are_not_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(DataError, match=f"{tmp_path}/lipflow-12345: belongs to another user"):
        storage.local_dir(url("any"))


def test_a_disk_of_temporary_files_that_is_full_is_named(store: Store, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=r"No space left on device: '.*lipflow-.*\(TMPDIR\)'"):  # noqa: SIM117
        with storage.replacing(url("full")):
            raise full


def test_nobody_listens(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    stores.forget()
    with pytest.raises(StorageError, match=r"cannot connect to http://127.0.0.1:9 \(AWS_ENDPOINT_URL\), 3 attempts"):
        storage.read(url("any"))


def test_without_credentials_the_variables_are_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    stores.forget()
    with pytest.raises(
        StorageError, match=r"no credentials for http.*; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ):
        storage.read(url("any"))


def test_a_bucket_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(StorageError, match="s3://other/any: no bucket 'other' at http://127"):
        storage.read(Url("s3://other/any"))


@pytest.mark.parametrize("value", ["0", "many", "-1", ""])
def test_a_variable_that_is_no_number_is_named(store: Store, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", value)
    stores.forget()
    with pytest.raises(StorageError, match=f"AWS_MAX_ATTEMPTS={value}: want a whole number above 0"):
        storage.read(url("any"))


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"AWS_MAX_ATTEMPTS": "7", "S3_ENDPOINT": "127.0.0.1:9000"}
    for name in (*bucket.DEFAULTS, "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "S3_ENDPOINT"):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    bucket.prepare()
    assert {name: os.environ[name] for name in given} == given
    assert os.environ["S3_REQUEST_TIMEOUT_MSEC"] == bucket.DEFAULTS["S3_REQUEST_TIMEOUT_MSEC"]
    assert os.environ["AWS_ENDPOINT_URL"] == "https://127.0.0.1:9000"


def test_a_wrong_secret_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stores.running(tmp_path, "rclone") as strict, stores.entered(strict):  # moto checks no signature
        bucket.put(url("kept"), b"content")
        assert storage.read(url("kept")) == b"content"
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        stores.forget()
        with pytest.raises(StorageError, match=r"s3://lip/kept: .* refuses access \(403\); check AWS_ACCESS_KEY_ID"):
            storage.read(url("kept"))

import collections
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.loading import dataset as data
from pipeline.loading import mixture
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.records import directory
from pipeline.records.bucket import Url
from pipeline.records.cache import Cache
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError, StorageError
from pipeline.vocab import Vocabulary
from tests import datasets, laws, stores
from tests.stores import Store

WORD = DataConfig(Vocabulary.of_words(sorted({text for text, _, _ in datasets.SPOKEN})), unit="word")
SENTENCE = DataConfig(Vocabulary.of_characters(), unit="sentence")
ORDER = PlanConfig(batch_size=3, seed=5, remainder="pad")
VARIED = AugmentConfig(shift=2, flip=0.5, brightness=20, speed=0.2)
ROOT = Path(__file__).parents[3]
PIXELS = "tfrecord"  # part of the names of shards
IN_GRAPH = """
import sys
import numpy as np
from pipeline.loading import dataset
from pipeline.loading.config import PlanConfig
from pipeline.records import directory, storage
from pipeline.vocab import Vocabulary
from scripts.common import cli
config = dataset.DataConfig(Vocabulary.of_characters(), unit="sentence")
def main(argv):
    local, remote = (directory.open_dataset(storage.place(name)) for name in argv)
    stream = "train", config, PlanConfig(batch_size=3, seed=5)
    want = list(dataset.load(local, *stream).as_numpy_iterator())
    for got in (dataset.load(remote, *stream, reader="graph"), dataset.portable(remote, *stream)):
        for one, other in zip(got.as_numpy_iterator(), want, strict=True):
            for key, value in other.items():
                np.testing.assert_array_equal(one[key], value)
    print("equal", len(want))
    sys.exit(ENDS)
cli.run(main)
"""


@pytest.fixture(scope="module")
def remote(served: Store, tiny: Callable[[str], DatasetDir]) -> Callable[[str], Url]:
    """The tiny datasets in the store."""
    made: dict[str, Url] = {}

    def put(name: str = "raw") -> Url:
        if name not in made:
            made[name] = served.put_tree(tiny(name).root, f"tiny/{name}")
        return made[name]

    return put


@pytest.mark.parametrize("encoding", ["raw", "jpeg", "png"])
@pytest.mark.parametrize("config", [WORD, SENTENCE], ids=["words", "sentences"])
@pytest.mark.parametrize("augmented", [None, VARIED], ids=["as they are", "augmented"])
def test_the_batches_are_those_of_a_disk(
    store: Store,
    tiny: Callable[[str], DatasetDir],
    remote: Callable[[str], Url],
    encoding: str,
    config: DataConfig,
    augmented: AugmentConfig | None,
) -> None:
    stream = "train", config, ORDER, augmented
    want = laws.read(data.load(tiny(encoding), *stream, epochs=2))
    opened = directory.open_dataset(remote(encoding))
    laws.same(laws.read(data.load(opened, *stream, epochs=2)), want)
    laws.same(laws.read(data.load(opened, *stream, epochs=2, step=2)), want[2:])
    assert opened.fingerprint == tiny(encoding).fingerprint  # so positions and runs hold for both


def test_of_an_epoch_every_record_travels_once(
    store: Store, tiny: Callable[[str], DatasetDir], remote: Callable[[str], Url]
) -> None:
    opened = directory.open_dataset(remote("raw"))
    before = len(store.requests())
    laws.read(data.load(opened, "train", SENTENCE, PlanConfig(batch_size=3, seed=5)))
    assert len(store.requests()) == before + 12  # of 13 records


def test_a_mixture_of_a_disk_and_a_store(store: Store, tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    shutil.copytree(tiny("raw").root, tmp_path / "other")
    other = directory.open_dataset(tmp_path / "other")
    there = directory.open_dataset(store.put_tree(tmp_path / "other", "mixed/other"))
    want = laws.read(data.load(mixture.join([tiny("raw"), other]), "train", WORD, ORDER))
    mixed = mixture.join([tiny("raw"), there])
    assert str(mixed.root) == f"{tiny('raw').root} + s3://lip/mixed/other"
    laws.same(laws.read(data.load(mixed, "train", WORD, ORDER)), want)


@pytest.mark.parametrize("fault", ["500", "503", "drop", "cut", "hang"])
def test_a_fault_that_passes_changes_no_batch(
    store: Store, tiny: Callable[[str], DatasetDir], remote: Callable[[str], Url], fault: str
) -> None:
    want = laws.read(data.load(tiny("raw"), "train", SENTENCE, ORDER))
    opened = directory.open_dataset(remote("raw"))
    store.rule({"do": fault, "match": PIXELS, "times": 1, "after": 4})
    laws.same(laws.read(data.load(opened, "train", SENTENCE, ORDER)), want)


@pytest.mark.parametrize("fault", ["403", "404", "500", "503", "drop", "cut", "hang"])
@pytest.mark.parametrize("on_bad_record", ["raise", "skip"])
def test_a_fault_that_stays_stops_the_stream_with_its_name(
    store: Store, remote: Callable[[str], Url], fault: str, on_bad_record: str
) -> None:
    opened = directory.open_dataset(remote("raw"))
    store.rule({"do": fault, "match": PIXELS, "after": 4})
    skipped: set[str] = set()
    ds = data.load(opened, "train", SENTENCE, ORDER, on_bad_record=on_bad_record, skipped=skipped)
    with pytest.raises(tf.errors.OpError) as caught:
        laws.read(ds)
    assert not skipped
    problem = data.problem(caught.value)
    assert isinstance(problem, StorageError)
    assert str(problem).startswith(f"s3://lip/tiny/raw/tiny-train.{PIXELS}")


@pytest.mark.parametrize("change", ["replaced", "cut", "gone"])
def test_a_shard_that_changes_while_it_is_read(store: Store, tiny: Callable[[str], DatasetDir], change: str) -> None:
    where = store.put_tree(tiny("raw").root, f"changing-{change}")
    opened = directory.open_dataset(where)
    ds = data.load(opened, "train", SENTENCE, ORDER, epochs=None).as_numpy_iterator()
    next(ds)
    for shard in opened.shards:
        content = store.get(shard.key)
        if change == "gone":
            store.remove(shard.key)
        else:
            store.put(shard.key, content[::-1] if change == "replaced" else content[: len(content) // 3])
    with pytest.raises(tf.errors.OpError) as caught:
        collections.deque(ds, maxlen=0)
    said = {
        "replaced": "was replaced since it was opened",
        "cut": "was replaced",
        "gone": "is gone since",
    }
    assert said[change] in str(data.problem(caught.value))


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_a_damaged_record_is_named_or_skipped(store: Store, tiny: Callable[[str], DatasetDir], encoding: str) -> None:
    where = store.put_tree(tiny(encoding).root, f"damaged-{encoding}")
    opened = directory.open_dataset(where)
    record = int(opened.records("train")[1])
    shard = opened.shards[opened.index.shard[record]]
    content = bytearray(store.get(shard.key))
    at = int(opened.index.offset[record])
    content[at + 900] ^= 1
    store.put(shard.key, bytes(content))
    opened = directory.open_dataset(where)
    with pytest.raises(tf.errors.OpError, match=f"DataError: {shard} offset {at}: the record is damaged"):
        laws.read(data.load(opened, "train", SENTENCE, ORDER))
    skipped: set[str] = set()
    got = laws.read(data.load(opened, "train", SENTENCE, ORDER, on_bad_record="skip", skipped=skipped))
    assert len(skipped) == 1
    want = laws.read(data.load(tiny(encoding), "train", SENTENCE, ORDER))
    for one, other in zip(got, want, strict=True):
        left_out = one["weights"] < other["weights"]
        assert (one["frames"][~left_out] == other["frames"][~left_out]).all()
        assert not one["frames"][left_out].any()


def test_what_is_kept_is_read_from_the_disk_and_mended(
    store: Store, tiny: Callable[[str], DatasetDir], remote: Callable[[str], Url], tmp_path: Path
) -> None:
    want = laws.read(data.load(tiny("raw"), "train", WORD, ORDER, epochs=2))

    def read() -> int:
        opened = directory.open_dataset(remote("raw"), Cache(tmp_path / "kept", 10**9))
        before = len(store.requests())
        laws.same(laws.read(data.load(opened, "train", WORD, ORDER, epochs=2)), want)
        return len(store.requests()) - before

    assert read() == 13  # the records of the split
    assert read() == 0
    files = sorted(path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    content = bytearray(files[0].read_bytes())
    content[700] ^= 8
    files[0].write_bytes(content)
    files[1].write_bytes(files[1].read_bytes()[:-1])
    files[2].unlink()
    assert read() == 3
    assert read() == 0


def test_a_server_that_is_killed_and_comes_back(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    with stores.running(tmp_path, "rclone") as store, stores.entered(store):
        want = laws.read(data.load(tiny("raw"), "train", WORD, ORDER, epochs=40))
        opened = directory.open_dataset(store.put_tree(tiny("raw").root, "restarted"))
        ds = data.load(opened, "train", WORD, ORDER, epochs=40).as_numpy_iterator()
        got = [next(ds) for _ in range(3)]
        store.kill()
        back = threading.Timer(0.3, store.start)
        back.start()
        got += list(ds)
        back.join()
        laws.same(got, want)
        ds = data.load(opened, "train", WORD, ORDER, epochs=None).as_numpy_iterator()
        store.kill()
        began = time.monotonic()
        with pytest.raises(tf.errors.OpError) as caught:
            collections.deque(ds, maxlen=0)
        assert time.monotonic() - began < 25
        assert ", 3 attempts" in str(data.problem(caught.value))


@pytest.mark.skipif(not tf.__version__.startswith("2.16."), reason="tensorflow-io is built for TensorFlow 2.16")
@pytest.mark.parametrize(("ends", "code", "said"), [("0", 0, ""), ("'error: no'", 1, "error: no"), ("3", 3, "")])
def test_the_graph_reads_the_same_and_the_process_ends_with_its_own_code(
    store: Store, tiny: Callable[[str], DatasetDir], remote: Callable[[str], Url], ends: str, code: int, said: str
) -> None:
    command = [sys.executable, "-c", IN_GRAPH.replace("ENDS", ends), str(tiny("raw").root), str(remote("raw"))]
    environment = stores.child_environment(store)
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout.strip()) == (code, "equal 4"), ended.stderr
    assert ended.stderr.strip().endswith(said)


def test_another_reader_is_refused(store: Store, remote: Callable[[str], Url]) -> None:
    with pytest.raises(ValueError, match="reader: want graph or store for raw frames in a store, got 'direct'"):
        data.load(directory.open_dataset(remote("raw")), "train", SENTENCE, ORDER, reader="direct")


def test_a_directory_that_is_not_finished_is_said_so(store: Store, tiny: Callable[[str], DatasetDir]) -> None:
    with pytest.raises(DataError, match=r"s3://lip/nothing: no such directory; make one"):
        directory.open_dataset(Url("s3://lip/nothing"))
    where = store.put_tree(tiny("raw").root, "unfinished")
    store.remove("unfinished/manifest.json")
    with pytest.raises(DataError, match=r"s3://lip/unfinished: no manifest.json, so not a finished dataset"):
        directory.open_dataset(where)
    store.put("unfinished/.progress/job.json", b"{}")
    with pytest.raises(DataError, match=r"run the same scripts.convert again to resume it"):
        directory.open_dataset(where)


def test_shards_that_are_missing_or_cut_are_all_named_at_the_start(
    store: Store, tiny: Callable[[str], DatasetDir]
) -> None:
    where = store.put_tree(tiny("raw").root, "incomplete")
    names = [shard.name for shard in tiny("raw").shards]
    store.remove(f"incomplete/{names[0]}")
    store.put(f"incomplete/{names[2]}", b"")
    said = rf"incomplete: {names[0]} is missing; {names[2]} has 0 bytes, the manifest says"
    with pytest.raises(DataError, match=said):
        directory.open_dataset(where)

"""The commands on URLs, against real servers, as users run them."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pipeline.conversion.run_log import CONVERSION
from pipeline.records import directory
from pipeline.records.bucket import Url
from tests import datasets
from tests.scripts import commands
from tests.stores import Store
from tests.workers import DEADLINE_S

CONVERT = ["convert", "--corpus=grid", "--crop=resize", "--split_by=clip", "--val=1", "--test=1", "--workers=2"]
NOWHERE = ["convert", "--output=s3://lip/nowhere"]
SHARDS = [*CONVERT, "--clips_per_shard=2"]
TRAIN = [
    "train",
    "--unit=word",
    "--width=0.0625",
    "--lstm_units=4",
    "--nobidirectional",
    "--batch_size=4",
    "--epochs=1",
]


def put_corpus(store: Store, corpus: Path, name: str) -> str:
    return str(store.put_tree(corpus, name))


def content(root: Path) -> dict[str, str]:
    """The SHA-256 of every file whose bytes do not depend on how the runs went."""
    files = [path for path in root.iterdir() if path.name != CONVERSION]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def content_of(store: Store, prefix: str) -> dict[str, str]:
    keys = [key for key in store.keys(f"{prefix}/") if not key.endswith(CONVERSION)]
    return {key.removeprefix(f"{prefix}/"): hashlib.sha256(store.get(key)).hexdigest() for key in keys}


def start(*arguments: str) -> subprocess.Popen:
    """A command, under way, in a process group of its own."""
    command = [commands.PYTHON, "-m", f"scripts.{arguments[0]}", *arguments[1:]]
    return subprocess.Popen(command, cwd=commands.ROOT, stderr=subprocess.PIPE, text=True, process_group=0)


def kill_at(store: Store, process: subprocess.Popen, fault: str = "hang") -> None:
    """Kills a command and its workers, as a power cut would, when a request has met a fault."""
    before, end = 0, time.monotonic() + DEADLINE_S
    while before < 1:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        before = sum(each["do"] == fault for each in store.requests()[store.mark :])
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()


def failed(command: list[str]) -> str:
    """The last line, below the progress, of a command that fails."""
    process = commands.start(*command)
    stderr = process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == 1, stderr
    return stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def local(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a conversion on a disk makes."""
    output = tmp_path_factory.mktemp("local") / "data"
    commands.run([*SHARDS, f"--source={corpus}", f"--output={output}"])
    return output


def test_a_conversion_killed_thrice_ends_in_the_bytes_of_a_local_one(store: Store, corpus: Path, local: Path) -> None:
    command = [*SHARDS, f"--source={corpus}", "--output=s3://lip/killed"]
    finished, done = 0, []
    for match, after in ((".tfrecord", 1), (".progress/grid-", 1), ("killed/index.npz", 0)):
        store.rule({"do": "hang", "match": match, "method": "PUT", "after": after})
        store.mark = len(store.requests())
        kill_at(store, start(*command))
        store.rule()
        assert "killed/manifest.json" not in store.keys("killed/")
        sizes = {entry["file"]: entry["bytes"] for entry in shards(local)}
        for key in (key for key in store.keys("killed/grid-")):
            assert len(store.get(key)) == sizes[Path(key).name]  # whole, or not there
        finished, had = len(store.keys("killed/.progress/grid-")), finished
        assert finished >= had
        again = [each["path"] for each in store.requests()[store.mark :] if each["method"] == "PUT"]
        assert not [path for path in again if path.rpartition("/")[2] in done]
        done = [Path(key).stem for key in store.keys("killed/.progress/grid-")]
    assert finished == len(shards(local))
    (printed,) = commands.run(command)
    assert "0 clips converted, 0 rejected in" in printed
    assert "8 were finished" in printed
    assert content_of(store, "killed") == content(local)


def shards(root: Path) -> list[dict[str, object]]:
    manifest = directory.open_dataset(root).manifest
    return [shard for split in manifest["splits"].values() for shard in split["shards"]]


def test_a_corpus_in_a_store_is_converted_as_one_on_a_disk(store: Store, corpus: Path, local: Path) -> None:
    source = put_corpus(store, corpus, "corpora/grid")
    (printed,) = commands.run([*SHARDS, f"--source={source}", "--output=s3://lip/both", "--dry_run"])
    assert re.search(r"to write +8 clips, about \d\.\d MB raw \(0\.\d+ s a whole video, by the headers of 5\)", printed)
    assert "s3://lip/both: not started" in printed
    assert store.keys("both") == []
    (printed,) = commands.run([*SHARDS, f"--source={source}", "--output=s3://lip/both"])
    assert printed.splitlines()[-1] == "dataset: s3://lip/both"
    assert content_of(store, "both") == content(local)
    (again,) = commands.run([*SHARDS, f"--source={source}", "--output=s3://lip/both"])
    assert "0 clips converted, 0 rejected in 0 s; 8 were finished" in again


def test_a_video_that_goes_is_a_reject_and_a_store_that_goes_is_none(store: Store, corpus: Path) -> None:
    source = put_corpus(store, corpus, "corpora/partly")
    store.rule({"do": "404", "match": "partly/s1/bbaf3s"})
    command = [*CONVERT, f"--source={source}", "--output=s3://lip/partly", "--max_reject_fraction=0.5"]
    commands.run(command)
    assert store.get("partly/rejected.csv").decode().splitlines()[1:] == [
        "s1/bbaf3s,s1/bbaf3s.mp4,unreadable,gone from s3://lip/corpora/partly"
    ]
    store.rule({"do": "500", "match": "partly/s3/pwix7s", "method": "GET"})
    command[-2] = "--output=s3://lip/other"
    named = "error: s3://lip/corpora/partly/s3/pwix7s.mp4: "
    said = failed(command)
    assert said.startswith(named)
    assert "says 500" in said
    assert said.endswith("then run the same command again to continue")
    assert not [key for key in store.keys("other/") if key.endswith(("manifest.json", ".csv"))]
    store.rule()
    commands.run(command)
    assert directory.open_dataset(Url("s3://lip/other")).manifest["rejected"] == {}


def test_a_store_that_is_slow_costs_no_clip(store: Store, corpus: Path) -> None:
    source = put_corpus(store, corpus, "corpora/slow")
    store.rule({"do": "hang", "match": "slow/s1/bbaf2n.mp4", "times": 2})  # four seconds, and the waits
    command = [*CONVERT, f"--source={source}", "--output=s3://lip/slow", "--clip_timeout_s=3"]
    (printed,) = commands.run(command)
    assert "8 clips converted, 0 rejected" in printed


@pytest.mark.slow
def test_two_converters_exclude_each_other(
    store: Store, corpus: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_REQUEST_TIMEOUT_MSEC", "60000")
    command = [*SHARDS, f"--source={corpus}", "--output=s3://lip/shared"]
    store.rule({"do": "hang", "match": "shared/grid-", "method": "PUT"})
    store.mark = len(store.requests())
    first = start(*command)
    said = [
        "s3://lip/shared: another conversion is writing there",
        f"process {first.pid} on",
        "run this command again in",
    ]
    while not any(each["do"] == "hang" for each in store.requests()[store.mark :]):
        time.sleep(0.05)
    commands.mistakes((command, said), ([*command, "--dry_run"], said))
    kill_at(store, first)
    store.rule()
    commands.run(command)
    assert content_of(store, "shared") == content(local)


def test_other_clips_or_something_else_are_refused(store: Store, corpus: Path, local: Path) -> None:
    store.put_tree(local, "taken")
    store.put("else/notes.txt", b"mine")
    store.put("file", b"mine")
    command = [*CONVERT[1:], f"--source={corpus}"]
    nowhere = "--output=s3://lip/x"
    commands.mistakes_in_turn(
        "convert",
        (
            [*command, "--output=s3://lip/taken"],
            ["s3://lip/taken: holds a conversion of other", "clips_per_shard was 2"],
        ),
        ([*command, "--output=s3://lip/else"], ["s3://lip/else: holds something else than a conversion"]),
        ([*command, "--output=s3://lip/file"], ["s3://lip/file: is a file"]),
        ([*command, "--output=http://lip/file"], ["http://lip/file: want a path, or s3://BUCKET/"]),
        (["--corpus=grid", "--source=s3://lip/nobody", nowhere], ["s3://lip/nobody: holds no objects"]),
        (["--corpus=lrw", "--source=s3://lip/else", nowhere], ["s3://lip/else: no LRW words"]),
    )
    commands.mistakes_in_turn(
        "records",
        (["stats", "--data=s3://lip/nothing"], ["s3://lip/nothing: no such directory"]),
        (["stats", "--data=s3://nobucket/data"], ["no bucket 'nobucket' at http://127.0.0.1"]),
    )


def test_inspection_takes_urls(store: Store, local: Path, tmp_path: Path) -> None:
    there = str(store.put_tree(local, "inspected"))
    output = [f"--output={tmp_path / 'sheet.png'}"]
    shown = [
        [what, f"--data={data}", *more]
        for data in (str(local), there)
        for what, *more in (["stats"], ["show", "--id=s1/bbaf2n"], ["preview", *output])
    ]
    report = tmp_path / "report.html"
    rest = [
        ["verify", f"--data={there}"],
        ["diff", str(local), there],
        ["report", f"--data={there}", f"--output={report}"],
    ]
    ended = commands.in_turn("records", *shown, *rest)
    assert {code for code, _ in ended} <= {0, None}
    *both, verified, compared, _ = [printed for _, printed in ended]
    assert both[:3] == both[3:]
    assert verified == f"{there}: {len(shards(local))} shards, 8 records, all sound\n"
    assert "8 clips in both; no difference" in compared
    assert "s1/bbaf2n" in report.read_text()
    damaged = bytearray(store.get(name := "inspected/grid-test.tfrecord-00000-of-00001"))
    damaged[500] ^= 1
    store.put(name, bytes(damaged))
    assert failed(["records", "verify", f"--data={there}"]).startswith(f"error: {there}: 2 problems, listed above")


def test_shards_of_another_program_and_version_are_indexed_in_place(store: Store, local: Path, tmp_path: Path) -> None:
    shutil.copytree(local, tmp_path / "bare")
    for name in ("manifest.json", "index.npz", "features.json", "dataset_info.json", "rejected.csv", CONVERSION):
        (tmp_path / "bare" / name).unlink()
    there = str(store.put_tree(tmp_path / "bare", "bare"))
    golden = str(store.put_tree(datasets.GOLDEN / "dataset", "golden"))
    cases = ["stats", there], ["index", str(tmp_path / "bare")], ["index", there], ["upgrade", golden]
    (refused, _), *ended = commands.in_turn("records", *([what, f"--data={data}"] for what, data in cases))
    assert "shards of another program: python -m scripts.records index" in refused
    assert {code for code, _ in ended} <= {0, None}
    here, away, upgraded = [printed for _, printed in ended]
    assert here.replace(str(tmp_path / "bare"), there) == away
    assert content_of(store, "bare") == content(tmp_path / "bare")
    assert upgraded.startswith("s3://lip/golden: ")


def test_training_and_scores_are_those_of_a_disk(store: Store, local: Path, tmp_path: Path) -> None:
    there = str(store.put_tree(local, "trained"))
    kept = ["--cache_dir", str(tmp_path / "kept"), "--cache_gb=1"]
    here, away, cached = (str(tmp_path / name) for name in ("here", "away", "cached"))
    said = commands.run(
        [*TRAIN, f"--data={local}", f"--output={here}"],
        [*TRAIN, f"--data={there}", f"--output={away}"],
        [*TRAIN, f"--data={there}", f"--output={cached}", *kept],
    )
    assert len({re.sub(r"run: .*|waited.*|data: \S+|, [^,]* left", "", each) for each in said}) == 1
    for name in ("away", "cached"):
        for path in (tmp_path / "here" / "last").glob("ckpt-*"):
            assert (tmp_path / name / "last" / path.name).read_bytes() == path.read_bytes()
    assert len([path for path in (tmp_path / "kept").rglob("*") if path.is_file()]) == 7  # train and val
    score = ["evaluate", f"--run={here}", "--split=train"]
    scores = commands.run(
        [*score, f"--data={local}", f"--output={tmp_path / 'a'}"],
        [*score, f"--data={there}", f"--output={tmp_path / 'b'}", *kept],
    )
    assert scores[0].replace("/a/", "/b/") == scores[1]


def test_a_store_that_fails_in_training_is_one_line(store: Store, local: Path, tmp_path: Path) -> None:
    there, output = str(store.put_tree(local, "failing")), str(tmp_path / "run")
    store.rule({"do": "503", "match": "failing/grid-train", "after": 9})
    command = [*TRAIN, f"--data={there}", f"--output={output}"]
    said = failed(command)
    assert said.startswith("error: s3://lip/failing/grid-train.tfrecord-0000")
    assert re.search(r"says 503 .*, 3 attempts \(AWS_MAX_ATTEMPTS\)", said)
    store.rule()
    (printed,) = commands.run(command)
    assert "finished; " in printed


def test_a_run_in_a_store_and_a_cache_without_one_are_refused(local: Path, tmp_path: Path) -> None:
    command, run = [*TRAIN[1:], f"--data={local}"], f"--output={tmp_path / 'run'}"
    said = ["s3://lip/run: only datasets and corpora may lie in a store"]
    commands.mistakes_in_turn(
        "train",
        ([*command, "--output=s3://lip/run"], said),
        (
            [*command, run, f"--cache_dir={tmp_path}"],
            ["--cache_dir: needs --data in a store, and", "is on a disk; leave it out"],
        ),
        ([*command, run, "--cache_gb=3"], ["--cache_gb=3: needs --cache_dir"]),
    )
    commands.mistakes((["evaluate", "--run=s3://lip/run", f"--data={local}"], said))

import collections
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import vocab
from pipeline.loading import dataset as data
from pipeline.loading import mixture
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.examples import select_examples
from pipeline.records import directory
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from tests import datasets, laws

OTHER = [("soon", 0, 4), ("at", 5, 9)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[DatasetDir]:
    """Six clips and three, the ids of which collide; the second has a test split and other words."""
    root = tmp_path_factory.mktemp("mixture")
    one = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(7)]
    two = [datasets.clip(f"s1/c{n}", 14 + n, OTHER, seed=n + 5) for n in range(5)]
    return [
        datasets.write_dataset(root / "one", {"train": [one[:4], one[4:6]], "val": [one[6:]]}),
        datasets.write_dataset(root / "two", {"train": [two[:3]], "test": [two[3:4]], "val": [two[4:]]}),
    ]


def test_a_mixture_holds_the_records_of_its_parts(parts: list[DatasetDir]) -> None:
    joined = mixture.join(parts)
    assert joined.splits == ("train", "val", "test")
    assert [len(joined.records(split)) for split in joined.splits] == [9, 2, 1]
    assert joined.manifest["vocabulary"]["words"] == ["at", "bin", "now", "soon"]
    assert joined.index.id[joined.records("train")].tolist() == [
        *(f"one:s1/c{n}" for n in range(6)),
        *(f"two:s1/c{n}" for n in range(3)),
    ]
    for record in range(len(joined.index)):
        name, expected = joined.index.id[record].split(":")[1], joined.index.row(record)
        found = directory.read_record(joined, record)
        assert (found.id, found.text, len(found.frames)) == (name, expected.text, expected.frames)
        assert found.words == expected.words
    assert mixture.sources(joined, joined.records("val")).tolist() == [0, 1]


def test_words_of_a_mixture(parts: list[DatasetDir]) -> None:
    joined = mixture.join(parts)
    vocabulary = Vocabulary.of_words(joined.manifest["vocabulary"]["words"])
    config, order = DataConfig(vocabulary, unit="word"), PlanConfig(3, shuffle=False)
    words = [
        vocabulary.decode(row)
        for batch in laws.read(data.load(joined, "train", config, order))
        for row in batch["labels"][:, :1].tolist()
    ]
    assert words == ["bin", "at", "now"] * 6 + ["soon", "at"] * 3
    with pytest.raises(DataError, match=r"one \+ .*two: word 'soon' is not among the 3"):
        select_examples(joined, "train", DataConfig(Vocabulary.of_words(["at", "bin", "now"]), unit="word"))


def test_one_dataset_is_itself(parts: list[DatasetDir]) -> None:
    assert mixture.join(parts[:1]) is parts[0]
    assert mixture.sources(parts[0], parts[0].records("train")).tolist() == [0] * 6


def test_a_mixed_stream_keeps_its_shares_and_resumes(parts: list[DatasetDir], tmp_path: Path) -> None:
    joined = mixture.join(parts)
    config, order = DataConfig(Vocabulary.of_characters()), PlanConfig(3, mix=(1.0, 2.0))
    stream = (joined, "train", config, order, AugmentConfig(flip=0.5))
    whole = laws.read(data.load(*stream))
    assert len(whole) == data.steps_per_epoch(*stream) == 3
    laws.resumes(data.load, stream, whole, tmp_path / "position.json")
    drawn = [name.decode() for batch in whole for name in batch["ids"]]
    assert collections.Counter(name.split(":")[0] for name in drawn) == {"one": 3, "two": 6}
    assert set(collections.Counter(name for name in drawn if name.startswith("two")).values()) == {2}
    whole = [batch["ids"] for batch in laws.read(data.load(*stream, epochs=2))]
    assert len({name for name in np.concatenate(whole) if name.startswith(b"one")}) == 6


def test_fingerprints_tell_data_apart(parts: list[DatasetDir]) -> None:
    kinds = [*parts, mixture.join(parts), mixture.join(parts[::-1])]
    assert len({kind.fingerprint for kind in kinds}) == 4
    assert directory.open_dataset(parts[0].root).fingerprint == parts[0].fingerprint


def test_what_cannot_be_mixed_is_refused(parts: list[DatasetDir], tmp_path: Path) -> None:
    clips = {"train": [[datasets.clip("s1/a", 9)]]}
    png = datasets.write_dataset(tmp_path / "png", clips, Encoding("png"))
    with pytest.raises(DataError, match=r"png: cannot be mixed: encoding is .*'png'.*, of .*one .*'raw'.*; convert"):
        mixture.join([parts[0], png])
    namesake = datasets.write_dataset(tmp_path / "one", clips)
    with pytest.raises(DataError, match="one, one: ids would collide; give each directory a name of its own"):
        mixture.join([parts[0], namesake])
    other = dataclasses.replace(namesake, manifest=json.loads(json.dumps(namesake.manifest)))
    other.manifest["vocabulary"]["characters"] = " ab" + vocab.UNKNOWN
    for pair in ([parts[1], other], [other, parts[1]]):
        with pytest.raises(DataError, match=r"cannot be mixed: its alphabet.* differ from those of .*; .*--alphabet"):
            mixture.join(pair)
    other.manifest["conversion"]["fps"] = 50.0
    with pytest.raises(DataError, match=r"cannot be mixed: fps is 50.0, of .*two 25.0"):
        mixture.join([parts[1], other])

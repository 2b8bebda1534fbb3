import contextlib
import dataclasses
from pathlib import Path

import pytest

from pipeline.conversion import dry_run, precheck
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import convert
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource
from pipeline.records.codecs import Encoding
from pipeline.schema import DataError
from tests.conversions import CONFIG, sources

pytestmark = pytest.mark.usefixtures("forked_workers")


def rows(corpus: Path, output: Path, clips: list[ClipSource], config: ConvertConfig = CONFIG) -> dict[str, str]:
    catalog = Catalog.of(clips)
    found = precheck.check(catalog, config, precheck.read_ends(catalog, corpus, None, config.fps))
    return dict(dry_run.report(catalog, corpus, output, config, 4, False, found))


def test_a_conversion_to_be_begun(corpus: Path, tmp_path: Path) -> None:
    clips = sources(corpus)
    clips[0] = dataclasses.replace(clips[0], text="naïve")
    clips[1] = dataclasses.replace(clips[1], problem="torn")
    clips[2] = dataclasses.replace(clips[2], words=(), video=corpus / "nowhere.mp4")
    clips[3] = dataclasses.replace(clips[3], span=(1.0, 3.0))
    said = rows(corpus, tmp_path / "new/out", clips, dataclasses.replace(CONFIG, encoding=Encoding("png")))
    assert said["clips"] == "8, 3 speakers"
    assert said["  train"] == "5 clips, 3 speakers, 3 shards: grid-train.tfrecord-00000-of-00003 and so on"
    assert said["  test"].endswith("1 shards: grid-test.tfrecord-00000-of-00001")
    assert said["word times"] == "of 7 clips"
    assert said["bad transcripts"] == "1 bad_transcript, 1 bad_character; would be rejected"
    assert "text changed" not in said
    assert said["output"] == f"{tmp_path / 'new/out'}: not started"
    # of 7 whole videos 6 open, with 119 frames in all: 119 / 6 * 7 + 50 frames of 12,544 bytes
    taken = "0.793 s a whole video, by the headers of 6, less as png"
    assert said["to write"].startswith(f"8 clips, about 2.4 MB raw ({taken}); ")
    assert said["workers"] == "4"
    assert said["crop"].startswith("mode resize, margin 1.6")
    assert not list(tmp_path.iterdir())


def test_what_the_rule_of_text_changes_and_no_character_rejects(corpus: Path, tmp_path: Path) -> None:
    clips = sources(corpus)
    clips[0] = dataclasses.replace(clips[0], text="naïve, no?")
    config = dataclasses.replace(CONFIG, text="spoken", unknown="unk")
    said = rows(corpus, tmp_path / "out", clips, config)
    assert said["bad transcripts"] == "none"
    assert said["text changed"] == "1 of 8 transcripts (--text=spoken); dropped , 1  ? 1"


def test_a_conversion_under_way_and_finished(corpus: Path, tmp_path: Path) -> None:
    with contextlib.closing(convert(sources(corpus), corpus, tmp_path / "out", CONFIG)) as states:
        while next(states).converted < 4:
            pass
    before = sorted(tmp_path.rglob("*"))
    said = rows(corpus, tmp_path / "out", sources(corpus))
    assert said["output"] in [
        f"{tmp_path / 'out'}: {n} of 5 shards are finished, {m} clips, 0 of them rejected"
        for n, m in ((1, 2), (2, 3), (2, 4))
    ]
    assert sorted(tmp_path.rglob("*")) == before
    list(convert(sources(corpus), corpus, tmp_path / "out", CONFIG))
    said = rows(corpus, tmp_path / "out", sources(corpus))
    assert said["output"] == f"{tmp_path / 'out'}: finished, nothing to do"
    assert said["to write"].startswith("0 clips, about 0.0 MB raw")


def test_it_refuses_what_a_conversion_refuses(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DataError, match="holds something else than a conversion"):
        rows(corpus, tmp_path, sources(corpus))
    with pytest.raises(DataError, match="the corpus has no clips, nothing to convert"):
        rows(corpus, tmp_path / "out", [])

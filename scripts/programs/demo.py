"""Runs the whole path on a rendered corpus."""

import concurrent.futures
import multiprocessing
import os
import time
from pathlib import Path

from absl import flags

from model.decoding import GREEDY, DecodeConfig
from pipeline.inspection.statistics import best_guess
from pipeline.records import storage
from pipeline.records.directory import DatasetDir, open_dataset
from pipeline.synthetic.corpus import SyntheticConfig, prepare, render_clip
from scripts.common import cli, decoders, experiment
from scripts.common.bars import bar
from scripts.common.commands import step

BROKEN = Path("s1/pwit9s.mp4")  # a text file with a video's name, which is rejected
TRAINING = (  # of rendered faces, which lie alike: few epochs without augmentation are enough
    *("--unit=sentence", "--labels=characters", "--table=B", "--width=0.125", "--dropout=0.2"),
    *("--batch_size=4", "--epochs=7", "--learning_rate=0.003", "--weight_decay=0.0001"),
    *("--shift=0", "--flip=0", "--speed=0", "--brightness=0", "--contrast=0", "--splice=0"),
)


def run(config: SyntheticConfig) -> None:
    """Renders the corpus of `config` below --output, converts, trains, scores and reads."""
    began = time.monotonic()
    output = storage.local(flags.FLAGS.output)
    corpus, data, trained = output / "corpus", output / "data", output / "run"
    _render(corpus, config)
    step("convert", "--corpus=grid", f"--source={corpus}", f"--output={data}", "--clips_per_shard=50")
    step("records", "preview", f"--data={data}", "--clips=2", f"--output={output / 'preview.png'}")
    step("train", f"--data={data}", f"--output={trained}", *TRAINING)
    _summary(output, open_dataset(data), began)


def _render(corpus: Path, config: SyntheticConfig) -> None:
    todo = [clip for clip in prepare(corpus, config) if not (corpus / clip.video).is_file()]
    spawn = multiprocessing.get_context("spawn")  # TensorFlow's threads do not survive a fork
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), spawn) as pool:
        jobs = [pool.submit(render_clip, corpus, config, clip) for clip in todo]
        for job in bar(concurrent.futures.as_completed(jobs), total=len(jobs), unit="clip", desc="rendering"):
            job.result()
    (corpus / BROKEN).write_text("This is no video.\n")


def _summary(output: Path, data: DatasetDir, began: float) -> None:
    opened = experiment.open_run(output / "run")
    words = data.manifest["vocabulary"]["words"]
    known = DecodeConfig("beam", lexicon=decoders.lexicon("vocabulary", opened.data.vocabulary, opened.words))
    report, spelled = (
        experiment.scorer(data, "test", opened.data, batch_size=8, how=how)(opened.model) for how in (known, GREEDY)
    )
    video = output / "corpus" / f"{data.index.id[data.records('test')[0]]}.mp4"
    step("transcribe", f"--run={output / 'run'}", str(video))
    guess = best_guess([row.truth for row in report.predictions])
    bytes_a_clip = sum(storage.size(shard) for shard in data.shards) / len(data.index)
    print()
    cli.table(
        [
            ("clips", f"{len(data.index)} converted, {sum(data.manifest['rejected'].values())} rejected"),
            ("bytes a clip", f"{bytes_a_clip:,.0f}"),
            ("held-out clips", f"{report.examples} of split test"),
            ("word accuracy", f"{report.metrics['word_accuracy']:.1%} of the words that training knows"),
            ("  letter by letter", f"{spelled.metrics['word_accuracy']:.1%} (--decoder=greedy)"),
            (
                "  by chance",
                f"{1 / len(words):.1%} (one of {len(words)} words); {guess:.1%} always guessing the commonest word",
            ),
            ("said", data.index.text[data.records("test")[0]]),
            ("read", report.predictions[0].hypothesis),
            ("  letter by letter", spelled.predictions[0].hypothesis),
            ("minutes", f"{(time.monotonic() - began) / 60:.1f}"),
            ("videos", str(output / "corpus")),
            ("rejects", str(output / "data" / "rejected.csv")),
            ("dataset", str(output / "data")),
            ("contact sheet", str(output / "preview.png")),
            ("run", f"{output / 'run'} (tensorboard --logdir={output / 'run'})"),
        ]
    )

"""Reading against baselines: clips and windows a second, processor time, memory, bytes."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from scripts.benchmarks import measure, read_export
from scripts.benchmarks.measure import Candidate, Measurement
from scripts.common.bars import bar

TORCH, WEBDATASET, GRAIN = "PyTorch DataLoader", "WebDataset", "Grain + ArrayRecord"
BASELINES = {"torch": TORCH, "webdataset": WEBDATASET, "grain": GRAIN}
FORMS = {TORCH: "npy", WEBDATASET: "tar", GRAIN: "npy"}  # what of the export a baseline reads
OURS = {  # name -> data, unit, layout, order, reader
    "lipflow": ("raw", "sentence", "frames", "random", ""),
    "lipflow, in order": ("raw", "sentence", "frames", "stored", ""),
    "lipflow, first epoch": ("raw", "sentence", "frames", "random", "unchecked"),
    "lipflow, graph": ("raw", "sentence", "frames", "random", "graph"),
    "lipflow, portable": ("raw", "sentence", "frames", "random", "portable"),
    "lipflow, windows": ("raw", "sentence", "windows", "random", ""),
    "lipflow, words": ("raw", "word", "frames", "random", ""),
    "lipflow, words, first epoch": ("raw", "word", "frames", "random", "unchecked"),
    "lipflow, words, direct": ("raw", "word", "frames", "random", "direct"),
    "lipflow, words, windows": ("raw", "word", "windows", "random", ""),
    "lipflow, jpeg": ("jpeg", "sentence", "frames", "random", ""),
    "lipflow, jpeg, words": ("jpeg", "word", "frames", "random", ""),
}
HOW = ("unit", "layout", "order", "reader")
TUTORIAL_BATCH = 8  # of 18 MB clips; larger ones leave no memory for anything else
COLUMNS = {
    "windows_rate": "windows/s",
    "cpu_ms": "CPU ms an example",
    "stored_mb": "MB stored a clip",
    "delivered_mb": "MB in the batch",
}


def run(
    dataset: DatasetDir, clips: int, seed: int, workers: int, rounds: int, batches: Sequence[int], seconds: float
) -> list[Measurement]:
    """Measures all on the same drawn clips, prints a table for each batch size, and returns every measurement.

    Raises:
      DataError: the clips do not fill a batch.
    """
    records = np.random.default_rng(seed).permutation(len(dataset.index))[:clips].tolist()
    if len(records) < max(batches):
        raise DataError(f"--batches: {max(batches)} are more than the {len(records)} clips (--clips, --data)")
    measured = []
    with tempfile.TemporaryDirectory() as scratch:
        print(f"writing {len(records)} clips in {len(read_export.FORMS)} forms")
        stored = read_export.export(dataset, records, Path(scratch))
        for batch in batches:
            variants = _variants(Path(scratch), {"batch": batch, "seconds": seconds}, workers)
            _warm_up(variants)
            found = list(bar(measure.alternate(variants, rounds), total=rounds * len(variants), unit="run"))
            found = [_with_stored(one, stored, variants, batch) for one in found]
            print(f"\n{measure.table(found, f'lipflow, batch {batch}', 'examples', COLUMNS)}")
            measured += found
    return measured


def _variants(scratch: Path, usual: dict[str, Any], workers: int) -> list[Candidate]:
    """Returns our variants, then the baselines that exist."""
    batch = usual["batch"]
    variants = []
    for name, (data, *how) in OURS.items():
        argument = {"data": str(scratch / data), **dict(zip(HOW, how, strict=True)), **usual}
        variants.append(measure.variant(f"{name}, batch {batch}", "scripts.benchmarks.read_variant", argument))
    variants.append(
        measure.in_tensorflow("dmvr", f"DMVR, jpeg, batch {batch}", {"records": str(scratch / "dmvr"), **usual})
    )
    if batch <= TUTORIAL_BATCH:
        argument = {"records": str(scratch / "stacks"), **usual}
        variants.append(measure.in_tensorflow("tutorial", f"tutorials, float windows, batch {batch}", argument))
    for baseline in measure.baselines(BASELINES, usual):
        variants += _widths(baseline, scratch / FORMS[baseline.name], workers)
    return variants


def _widths(baseline: Candidate, data: Path, workers: int) -> Iterator[Candidate]:
    """Yields a baseline for frames and for windows, without and with `workers`."""
    for layout in ("frames", "windows"):
        for processes in (0, workers):
            argument = {data.name: str(data), "layout": layout, "workers": processes, **baseline.argument}
            windows = ", windows" if layout == "windows" else ""
            name = f"{baseline.name}{windows}, {processes or 'no'} workers, batch {argument['batch']}"
            yield Candidate(name, baseline.command, argument)


def _warm_up(variants: list[Candidate]) -> None:
    """Lets Grain write the file that it reads, before anything is measured."""
    for variant in variants:
        if variant.name.startswith(GRAIN):
            measure.measure(Candidate(variant.name, variant.command, {**variant.argument, "seconds": 0.01}))
            return


def _with_stored(one: Measurement, stored: dict[str, float], variants: list[Candidate], batch: int) -> Measurement:
    (argument,) = (variant.argument for variant in variants if variant.name == one.candidate)
    path = next(argument[key] for key in ("data", "records", "npy", "tar") if key in argument)
    return Measurement(one.candidate, {**one.figures, "stored_mb": stored[Path(path).name] / 1e6, "batch": batch})

"""Exports the run of the flags as a SavedModel."""

import dataclasses
import functools

from absl import flags

from model import export
from model.streaming import Stream
from pipeline.loading import windows
from pipeline.records import storage
from pipeline.schema import CONTEXT
from scripts.common import experiment


def run() -> None:
    """Exports it, with start, step and finish if --streaming asks for them."""
    directory, output = storage.local(flags.FLAGS.run), storage.local(flags.FLAGS.output)
    opened = experiment.open_run(directory, flags.FLAGS.weights)
    model, data = opened.model, opened.data
    known = (data.vocabulary.symbols, data.vocabulary.unit)
    graphs = {"serving_default": export.whole(model, *known, functools.partial(windows.make, padding=data.padding))}
    if flags.FLAGS.streaming:
        border = CONTEXT // 2 if data.padding == "same" else 0
        graphs |= Stream(model, *known, windows.make, border).signatures()
    taken = graphs["serving_default"].input_signature
    inputs = {spec.name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()} for spec in taken}
    about = {
        "inputs": inputs,
        "fps": opened.fps,
        "crop": dataclasses.asdict(opened.crop),
        "padding": data.padding,
        "symbols": known[0],
    }
    export.save(model, graphs, about, output)
    print(f"{output}: a SavedModel with {', '.join(graphs)}; takes {', '.join(inputs)}, which {export.ABOUT} describes")

"""Evaluates every example exactly once; rows that only fill the last batch do not count."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from model import batch as fields
from model import losses
from model.decoding import GREEDY, DecodeConfig, decode
from model.errors import RunError
from model.lipreader import LipReader
from model.metrics import TextMetrics, align

KEYS = (fields.LENGTHS, fields.LABELS, fields.LABEL_LENGTHS, fields.WEIGHTS)

_loss_rows = tf.function(losses.rows, reduce_retracing=True, autograph=False)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """An example: truth, reading, and the log probability of the reading in nats."""

    id: str
    truth: str
    hypothesis: str
    score: float


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of an evaluation.

    Attributes:
      examples: how many were counted.
      metrics: `loss` (mean, nats), `wer`, `word_accuracy`; of texts `cer` and `sentence_accuracy` too.
      places: of texts, the word accuracy of the first place, the second, …; empty for single words.
      confusion: how often each (word said, word read) came; None stands for no word.
      predictions: one an example, in the order they came.
    """

    examples: int
    metrics: dict[str, float]
    places: tuple[float, ...]
    confusion: Mapping[tuple[str | None, str | None], int]
    predictions: tuple[Prediction, ...]


def evaluate(
    model: LipReader,
    batches: Iterable[Mapping[str, tf.Tensor]],
    spell: Callable[[Sequence[int]], str],
    how: DecodeConfig = GREEDY,
) -> Report:
    """Decodes every example of `batches` once and compares it with the truth.

    Args:
      model: reads in inference mode.
      batches: one pass over the examples; keys in `model.batch`.
      spell: label ids to text, words separated by one space.
      how: texts are decoded, by default greedily.

    Raises:
      RunError: no example at all, or one that comes twice.
    """
    metrics, predictions, loss = TextMetrics(), [], 0.0
    for batch in batches:
        rows, batch_loss = _read(model, batch, spell, how)
        predictions.extend(rows)
        loss += batch_loss
    _refuse_repeats(predictions)
    for row in predictions:
        metrics.add(row.truth, row.hypothesis)
    texts = model.config.head == "ctc"
    values = {"loss": loss / len(predictions), **(metrics.of_sentences() if texts else metrics.of_words())}
    places = metrics.places() if texts else ()
    return Report(len(predictions), values, places, metrics.confusion, tuple(predictions))


def worst(predictions: Sequence[Prediction], limit: int) -> list[Prediction]:
    """Returns the `limit` worst predictions: by word edits over words said, ties by the highest score first.

    Those without an edit are left out.
    """
    rates = {row: _edits(row) / max(1, len(row.truth.split())) for row in predictions}
    wrong = [row for row in predictions if rates[row]]
    return sorted(wrong, key=lambda row: (-rates[row], -row.score, row.id))[:limit]


def _edits(row: Prediction) -> int:
    return sum(said != read for said, read in align(row.truth.split(), row.hypothesis.split()))


def _read(
    model: LipReader,
    batch: Mapping[str, tf.Tensor],
    spell: Callable[[Sequence[int]], str],
    how: DecodeConfig,
) -> tuple[list[Prediction], float]:
    """Returns the predictions of the rows that count, and the sum of their losses."""
    head = model.config.head
    chosen = fields.select(batch, KEYS)
    logits = model.infer(fields.select(batch, (*model.config.inputs, fields.WEIGHTS)))
    hypotheses = decode(head, logits.numpy(), chosen[fields.LENGTHS].numpy(), how)
    label_lengths = chosen[fields.LABEL_LENGTHS].numpy()
    rows = [
        Prediction(name.decode(), spell(labels[:length].tolist()), spell(read.labels), read.score)
        for name, labels, length, read, weight in zip(
            np.asarray(batch[fields.IDS]).tolist(),
            chosen[fields.LABELS].numpy(),
            label_lengths,
            hypotheses,
            chosen[fields.WEIGHTS].numpy(),
            strict=True,
        )
        if weight > 0
    ]
    return rows, float(tf.reduce_sum(_loss_rows(head, logits, chosen)))


def _refuse_repeats(predictions: list[Prediction]) -> None:
    if not predictions:
        raise RunError("evaluation: the data holds no example; choose another split")
    seen: set[str] = set()
    for row in predictions:
        if row.id in seen:
            raise RunError(f"evaluation: example {row.id} came twice; give one pass over the data")
        seen.add(row.id)

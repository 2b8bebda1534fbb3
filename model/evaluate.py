"""Evaluates every example exactly once; rows that only fill the last batch do not count."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from model import alignment, losses
from model import batch as fields
from model.alignment import Vocabulary, Word
from model.decoding import GREEDY, DecodeConfig, decode
from model.errors import RunError
from model.lipreader import LipReader, input_keys
from model.metrics import TextMetrics, Timed, TimeErrors, align

KEYS = (fields.LENGTHS, fields.LABELS, fields.LABEL_LENGTHS, fields.WEIGHTS)

_loss_rows = tf.function(losses.rows, reduce_retracing=True, autograph=False)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """An example: truth, reading, log probability of the reading in nats, and its words with their windows.

    Single words, and texts whose times are not compared, have no `words`.
    """

    id: str
    truth: str
    hypothesis: str
    score: float
    words: tuple[Word, ...] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of an evaluation.

    Attributes:
      examples: how many were counted.
      metrics: `loss` (mean, nats), `wer`, `word_accuracy`; of texts `cer` and `sentence_accuracy` too.
      places: of texts, the word accuracy of the first place, the second, …; empty for single words.
      confusion: how often each (word said, word read) came; None stands for no word.
      predictions: one an example, in the order they came.
      times: errors of the times of words, in frames; of no word where the times of none are known.
    """

    examples: int
    metrics: dict[str, float]
    places: tuple[float, ...]
    confusion: Mapping[tuple[str | None, str | None], int]
    predictions: tuple[Prediction, ...]
    times: TimeErrors = dataclasses.field(default_factory=TimeErrors)


def evaluate(
    model: LipReader,
    batches: Iterable[Mapping[str, tf.Tensor]],
    vocabulary: Vocabulary,
    how: DecodeConfig = GREEDY,
    said: Callable[[str], Sequence[Timed]] | None = None,
) -> Report:
    """Decodes every example of `batches` once and compares it with the truth.

    Args:
      model: reads in inference mode.
      batches: one pass over the examples; keys in `model.batch`.
      vocabulary: what the labels stand for.
      how: texts are decoded, by default greedily.
      said: the words of an example, by its id, with the windows in which they are said, to compare with those of the
        words read in texts; None where that is unknown or not asked for.

    Raises:
      RunError: no example at all, or one that comes twice.
    """
    metrics, times, predictions, loss = TextMetrics(), TimeErrors(), [], 0.0
    texts = model.config.head == "ctc"
    for batch in batches:
        rows, batch_loss = _read(model, batch, vocabulary, how, timed=texts and said is not None)
        predictions.extend(rows)
        loss += batch_loss
    _refuse_repeats(predictions)
    for row in predictions:
        metrics.add(row.truth, row.hypothesis)
        times.add(said(row.id) if said else (), row.words)
    values = {"loss": loss / len(predictions), **(metrics.of_sentences() if texts else metrics.of_words())}
    places = metrics.places() if texts else ()
    return Report(len(predictions), values, places, metrics.confusion, tuple(predictions), times)


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
    vocabulary: Vocabulary,
    how: DecodeConfig,
    timed: bool,
) -> tuple[list[Prediction], float]:
    """Returns the predictions of the rows that count, `timed` with their words, and the sum of their losses."""
    head = model.config.head
    chosen = fields.select(batch, KEYS)
    logits = model.infer(fields.select(batch, (*input_keys(model.config), fields.WEIGHTS)))
    lengths, values = chosen[fields.LENGTHS].numpy(), logits.numpy()
    hypotheses = decode(head, values, lengths, how)
    names, weights = np.asarray(batch[fields.IDS]).tolist(), chosen[fields.WEIGHTS].numpy()
    labels, label_lengths = chosen[fields.LABELS].numpy(), chosen[fields.LABEL_LENGTHS].numpy()
    rows, moved = [], alignment.motion(batch[fields.WINDOWS]) if timed else None
    for row in np.flatnonzero(weights > 0).tolist():
        found, words = hypotheses[row], ()
        if timed:
            words = alignment.read(head, values[row], int(lengths[row]), found, vocabulary, moved[row]).words
        truth = vocabulary.decode(labels[row, : label_lengths[row]].tolist())
        rows.append(Prediction(names[row].decode(), truth, vocabulary.decode(found.labels), found.score, words))
    return rows, float(tf.reduce_sum(_loss_rows(head, logits, chosen)))


def _refuse_repeats(predictions: list[Prediction]) -> None:
    if not predictions:
        raise RunError("evaluation: the data holds no example; choose another split")
    seen: set[str] = set()
    for row in predictions:
        if row.id in seen:
            raise RunError(f"evaluation: example {row.id} came twice; give one pass over the data")
        seen.add(row.id)

"""Takes the crops of clips from an earlier dataset, where they are of the same part of the same video.

Labels come from the corpus as it is now, so the records have the bytes that a conversion of the videos would give them.
"""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.conversion import clip
from pipeline.conversion.clip import Shown
from pipeline.conversion.config import VERSION, ConvertConfig, with_defaults
from pipeline.conversion.unfinished import is_unfinished, open_unfinished
from pipeline.corpora import paths
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource
from pipeline.records import directory, example, identity, provenance
from pipeline.records.directory import DatasetDir
from pipeline.records.index import Row
from pipeline.records.provenance import Provenance
from pipeline.records.storage import Place
from pipeline.schema import DataError
from pipeline.video.clock import frame_count
from pipeline.video.fingerprint import fingerprint, size

SAME = ("crop", "encoding", "fps", "version")  # settings of a conversion that decide the crops and how they are stored
FACTORS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9], np.uint64)  # of SplitMix64
NO_SPAN = (math.nan, math.nan)


@dataclasses.dataclass(frozen=True)
class Made:
    """A record, its row of the index, whose offset is not yet known, and what it was made from."""

    record: bytes
    row: Row
    provenance: Provenance


class Reuse:
    """The records whose crops a conversion can take: of a dataset, or of the finished shards of another conversion.

    Args:
      root: of the dataset or the unfinished conversion.
      config: of the conversion.

    Raises:
      DataError: the dataset cannot be opened, does not note which video its clips show, or was made with other settings
        of crops, encoding or frame rate.
    """

    def __init__(self, root: Place, config: ConvertConfig) -> None:
        self._config = config
        self._dataset, self._table = open_unfinished(root) if is_unfinished(root) else _opened(root)
        self._old = with_defaults(self._dataset.manifest["conversion"])
        self._check_settings(root)
        keys = _keys(self._table.video.hashes(), self._table.start, self._table.stop)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def _check_settings(self, root: Place) -> None:
        both = self._old, {**dataclasses.asdict(self._config), "version": VERSION}
        old, new = ({name: each.get(name) for name in SAME} for each in both)
        if changed := identity.differences(old, new):
            way_out = "give the settings of that dataset, or leave --reuse out"
            raise DataError(f"--reuse={root}: made with other settings ({', '.join(changed)}); {way_out}")

    def count(self, sources: Iterable[ClipSource], root: Path) -> int:
        """The number of clips of which the dataset has crops of the same path and span; the videos are not opened."""
        return sum(self._find(source, root) is not None for source in sources)

    def moved(self, catalog: Catalog) -> int:
        """The number of clips, by id, that are in another split than in the dataset."""
        index = self._dataset.index
        _, rows, own = np.intersect1d(index.id.hashes(), catalog.ids.hashes(), return_indices=True)
        then = np.array(self._dataset.splits)[index.split[rows]]
        return int(np.count_nonzero(then != np.array(catalog.split.values)[catalog.split.codes[own]]))

    def take(self, source: ClipSource, root: Path) -> Made | None:
        """Returns the record of a clip, with its labels of today; None where the dataset has no crops for it.

        Raises:
          ClipError: as `clip.convert_clip`, for what is wrong with the labels.
        """
        if (found := self._find(source, root)) is None:
            return None
        paths.check_video(source.video, root)
        clip.check_text(source, self._config)
        known = self._table.row(found)
        if size(source.video) != known.size or fingerprint(source.video) != (known.size, known.sha256):
            return None
        try:
            record = directory.record_bytes(self._dataset, found)
        except ValueError:  # damaged since: the video gives the same crops
            return None
        row = self._dataset.index.row(found)
        text, words = clip.label(source, self._config, Shown(row.frames, known.begins, known.truncated))
        clip.check_fits(text, row.frames)
        said = {"text": text, "words": words, "columns": source.columns}
        labels = {"id": source.id, "speaker": source.speaker, **said}
        record = example.relabelled(record, **labels)
        place = {"offset": 0, "length": len(record), "pixels": example.pixels_offset(record)}
        return Made(record, dataclasses.replace(row, **labels, **place), known)

    def _find(self, source: ClipSource, root: Path) -> int | None:
        """The record that holds all frames of a clip's span of its video, by the path of the video."""
        video, span = clip.source_path(source, root), source.span or NO_SPAN
        key = _keys(provenance.StringArray.of([video]).hashes(), np.array(span[:1]), np.array(span[1:]))
        places = slice(*(np.searchsorted(self._keys, key, side).item() for side in ("left", "right")))
        for record in self._order[places].tolist():
            known = self._table.row(record)
            if known.video == video and known.span == source.span and known.whole and self._same_length(known, record):
                return record
        return None

    def _same_length(self, known: Provenance, record: int) -> bool:
        """Whether the conversion would read just the frames that a record has."""
        old, new = self._old, self._config
        if known.truncated:
            return new.overlong == "truncate" and old["max_frames"] == new.max_frames
        frames = int(self._dataset.index.frames[record])
        asked = frame_count(known.span, new.fps) if known.span else frames  # more where the video ends in the span
        return max(frames, asked) <= new.max_frames


def _opened(root: Place) -> tuple[DatasetDir, provenance.Table]:
    dataset = directory.open_dataset(root)
    return dataset, provenance.load(dataset)


def _keys(videos: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """uint64 [N]: a hash of each part of a video, from the hashes of paths, uint64 [N], and seconds, float64 [N]."""
    return videos + FACTORS[0] * start.astype(np.float64).view(np.uint64) + FACTORS[1] * stop.view(np.uint64)

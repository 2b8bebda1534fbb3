"""What the crops of each record were made from, so that a later conversion can take them (`provenance.npz`)."""

import dataclasses
import hashlib
import math
from array import array
from collections.abc import Iterable

import numpy as np

from pipeline.records import checks, storage
from pipeline.records.directory import DatasetDir
from pipeline.records.storage import Place
from pipeline.records.strings import Builder, StringArray
from pipeline.schema import DataError

FILE = "provenance.npz"
DIGEST_BYTES = 32  # of a SHA-256
COLUMNS = ("video", "video_ends", "size", "sha256", "start", "stop", "begins", "truncated", "whole")


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What the crops of one record were made from.

    Attributes:
      video: its path below the corpus root.
      size: of the video, in bytes; -1 where it is not known, as of shards that an older version has made.
      sha256: of its content, in hexadecimal.
      span: seconds `(start, stop)` of the container's clock that were read; None for the whole video.
      begins: second of the container's clock at which the first frame is shown.
      truncated: whether further frames were left out.
      whole: whether the record holds all frames that were read, not one stretch of them.
    """

    video: str
    size: int = -1
    sha256: str = "00" * DIGEST_BYTES
    span: tuple[float, float] | None = None
    begins: float = 0.0
    truncated: bool = False
    whole: bool = False


class Table:
    """The provenance of N records, in the order of the index.

    Attributes:
      video: N strings.
      size: int64 [N].
      sha256: uint8 [N, 32].
      start, stop: float64 [N], NaN for a whole video.
      begins: float64 [N].
      truncated, whole: bool [N].
    """

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self.video = StringArray(columns["video"], columns["video_ends"])
        self.sha256 = columns["sha256"].reshape(-1, DIGEST_BYTES)
        self.size, self.start, self.stop, self.begins = (columns[name] for name in ("size", "start", "stop", "begins"))
        self.truncated, self.whole = columns["truncated"].astype(bool), columns["whole"].astype(bool)

    def row(self, record: int) -> Provenance:
        """The provenance of one record."""
        span = None if math.isnan(self.start[record]) else (float(self.start[record]), float(self.stop[record]))
        numbers = float(self.begins[record]), bool(self.truncated[record]), bool(self.whole[record])
        digest = self.sha256[record].tobytes().hex()
        return Provenance(self.video[record], int(self.size[record]), digest, span, *numbers)


class Writer:
    """Gathers the provenance of records, and writes it; the same rows give the same bytes."""

    def __init__(self) -> None:
        self._video, self._sha256 = Builder(), bytearray()
        self._numbers = {name: array("d" if name in ("start", "stop", "begins") else "q") for name in COLUMNS[4:]}
        self._numbers["size"] = array("q")

    def extend(self, rows: Iterable[Provenance]) -> None:
        for row in rows:
            self._video.append(row.video)
            self._sha256 += bytes.fromhex(row.sha256)
            start, stop = row.span or (math.nan, math.nan)
            values = {"size": row.size, "start": start, "stop": stop, "begins": row.begins}
            for name, value in {**values, "truncated": row.truncated, "whole": row.whole}.items():
                self._numbers[name].append(value)

    def table(self) -> Table:
        """Returns what has been gathered."""
        return Table(self._columns())

    def write(self, path: Place) -> None:
        columns = self._columns()
        with storage.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **{name: columns[name] for name in COLUMNS})

    def _columns(self) -> dict[str, np.ndarray]:
        video = self._video.build()
        columns = {"video": video.data, "video_ends": video.ends, "sha256": np.frombuffer(self._sha256, np.uint8)}
        return columns | {name: np.array(values) for name, values in self._numbers.items()}


def load(dataset: DatasetDir) -> Table:
    """Reads the provenance of the records of a dataset.

    Raises:
      DataError: a version of this program wrote the dataset that noted none; or the file is gone, or not the one of the
        manifest.
    """
    path, noted = dataset.root / FILE, dataset.manifest.get("provenance")
    if noted is None:
        raise DataError(f"{dataset.root}: does not say which video each clip shows, as older versions made it")
    try:
        content = storage.read(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing; restore it") from error
    if hashlib.sha256(content).hexdigest() != noted["sha256"]:
        raise DataError(f"{path}: not the one of this manifest (its SHA-256 differs); restore it")
    columns = checks.load_columns(path, content, list(COLUMNS))
    if len(columns["video_ends"]) != len(dataset.index):
        raise DataError(f"{path}: has {len(columns['video_ends'])} rows for {len(dataset.index)} records; restore it")
    return Table(columns)

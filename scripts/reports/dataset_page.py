"""The HTML report of a dataset."""

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from pipeline.conversion.run_log import CONVERSION
from pipeline.inspection import outliers, preview, report, statistics
from pipeline.records import directory, identity
from pipeline.records.directory import DatasetDir
from pipeline.records.index import NOT_SCORED
from pipeline.schema import Clip
from scripts.reports import charts, outlier_section, page
from scripts.reports.page import Bars, Block, Fact, Picture, Section, Table, Text

MAX_BARS = 20
MAX_WORST = 20  # clips listed
MAX_REJECTS = 8  # listed of each reason
MAX_RUNS = 4  # the last ones of the conversion
SHEETS_OF_WORST = 6
SHEETS_OF_OUTLIERS = 4  # of each measure
SHEET_SCALE = 0.5
SHEET_FRAMES = 75  # of a longer clip, every second, third, ... frame is shown
SHEET_WIDTH = 840  # pixels, so that words below frames can be read
HOUR = 3600  # seconds
LEGEND = "Below a frame is its word or its number; a red bar above it means that no face was found."


def html(
    dataset: DatasetDir,
    origin: Sequence[tuple[str, str]],
    clips: int,
    measure: int,
    seed: int,
    track: Callable[[list[int]], Iterable[int]] = iter,
) -> str:
    """Renders the report on a dataset as one HTML file, a function of its arguments.

    Args:
      dataset: an opened dataset directory; only the clips that are measured or shown are read.
      origin: `(name, value)` of the page's head.
      clips: number of clips to show.
      measure: number of clips among which to look for outliers.
      seed: of both random draws.
      track: wraps the lists of clips that are read, such as a progress bar.

    Raises:
      DataError: a record that is shown is damaged, or a file beside the shards is malformed.
    """
    drawn = preview.sample(dataset, clips, seed)
    measured = outliers.measure(dataset, track(preview.sample(dataset, measure, seed)))
    found = outliers.find(measured)
    far = outliers.farthest(found, SHEETS_OF_OUTLIERS)
    doubtful = report.doubtful(dataset.index, SHEETS_OF_WORST).tolist()
    worst = report.worst_tracked(dataset.index, SHEETS_OF_WORST).tolist()
    pictures = iter([_sheet(dataset, record) for record in track(doubtful + far + worst + drawn)])
    sections = [
        _doubtful(dataset, list(itertools.islice(pictures, len(doubtful)))),
        outlier_section.section(dataset, measured, found, list(itertools.islice(pictures, len(far))), LEGEND),
        _splits(dataset),
        _lengths(dataset),
        _vocabulary(dataset),
        _speakers(dataset),
        *_columns(dataset),
        _tracking(dataset, list(itertools.islice(pictures, len(worst)))),
        _rejects(dataset),
        _clips(dataset, list(pictures), seed),
        _settings(dataset),
        _runs(dataset),
    ]
    name = dataset.manifest["conversion"]["name"]
    return page.render(name, "A Lipflow dataset", origin, _facts(dataset), sections)


def _facts(dataset: DatasetDir) -> list[Fact]:
    index, conversion = dataset.index, dataset.manifest["conversion"]
    frames, stored = int(index.frames.sum()), int(index.length.sum())
    unit, factor = _unit_of_time([frames / conversion["fps"] / HOUR])
    size, bytes_each = ("gigabytes", 1e9) if stored >= 1e9 else ("megabytes", 1e6)
    rows = [
        ("clips", f"{len(index):,}"),
        ("speakers", f"{len(set(index.speaker) - {''}):,}"),
        (unit, f"{frames / conversion['fps'] / HOUR * factor:,.2f}"),
        ("words", f"{len(report.words(index.text)):,}"),
        ("distinct words", f"{len(dataset.manifest['vocabulary']['words']):,}"),
        ("frames tracked", f"{index.tracked.sum() / max(frames, 1):.2%}"),
        ("clips in doubt", f"{len(statistics.in_doubt(index)):,}"),
        ("clips rejected", f"{sum(dataset.manifest['rejected'].values()):,}"),
        (size, f"{stored / bytes_each:,.2f}"),
    ]
    return [Fact(*row) for row in rows]


def _unit_of_time(hours: Sequence[float]) -> tuple[str, int]:
    """Returns `("hours", 1)`, or `("minutes", 60)` for less than an hour in all, or where one would read 0.00 hours."""
    return ("minutes", 60) if sum(hours) < 1 or any(0 < each < 0.005 for each in hours) else ("hours", 1)


def _doubtful(dataset: DatasetDir, pictures: list[Picture]) -> Section:
    """The clips to look at first."""
    index = dataset.index
    if not pictures:
        scored = np.any(index.doubt != NOT_SCORED)
        said = "No clip is in doubt." if scored else "Crops are not scored: of an older version, or a fixed box."
        return Section("In doubt", wide=[Text(said)])
    rows = []
    for record in report.doubtful(index, MAX_WORST).tolist():
        row, split = index.row(record), dataset.splits[index.split[record]]
        rows.append((row.id, split, row.doubt, row.doubt_cause, row.text))
    more = len(statistics.in_doubt(index)) - len(rows)
    table = Table(("clip", "split", "doubt, %", "cause", "text"), rows, "Clips to look at first", more)
    advice = f"Their crops may not show the talker's lips. --max_doubt of scripts.train leaves clips out. {LEGEND}"
    return Section(
        "In doubt",
        [Bars("Clips in doubt, by cause", statistics.causes_of_doubt(index)), table],
        [Text(advice), *pictures],
    )


def _splits(dataset: DatasetDir) -> Section:
    splits = report.splits(dataset)
    unit, factor = _unit_of_time([s.hours for s in splits])
    columns = ("split", "clips", "speakers", unit, "words", "distinct words", "megabytes")
    rows = [(s.name, s.clips, s.speakers, s.hours * factor, s.words, s.distinct, s.bytes / 1e6) for s in splits]
    return Section("Splits", wide=[Table(columns, rows)])


def _lengths(dataset: DatasetDir) -> Section:
    index, fps = dataset.index, dataset.manifest["conversion"]["fps"]
    drawn = [
        _histogram("Clips", index.frames, "clips", fps),
        _histogram("Aligned words", index.word_stop - index.word_start, "words", fps),
    ]
    return Section("Lengths", drawn)


def _histogram(title: str, frames: np.ndarray, counted: str, fps: float) -> Block:
    if not len(frames):
        return Text(f"{title}: there are none.")
    caption = statistics.lengths(frames, fps)
    drawing = charts.histogram(frames, "frames", counted)
    return Picture(page.svg(drawing), f"{title} by length: {caption}", f"{title} by length", caption)


def _vocabulary(dataset: DatasetDir) -> Section:
    counts = statistics.counted(report.words(dataset.index.text))
    if not counts:
        return Section("Vocabulary", wide=[Text("There are no words.")])
    drawing = charts.ranks(np.array([count for _, count in counts]), "rank of the word", "times said")
    once = sum(count == 1 for _, count in counts)
    caption = f"{len(counts):,} words; {once:,} of them occur once"
    rare = counts[max(MAX_BARS, len(counts) - MAX_BARS) :]
    blocks = [
        Picture(page.svg(drawing), f"Words by rank: {caption}", "Words by rank", caption),
        Bars("Commonest words", counts[:MAX_BARS], more=len(counts[MAX_BARS:])),
        *([Bars("Rarest words", rare, scale=counts[0][1])] if rare else []),
    ]
    return Section("Vocabulary", blocks)


def _speakers(dataset: DatasetDir) -> Section:
    counts = statistics.counted(name or "not named" for name in dataset.index.speaker.tolist())
    bars = Bars("Clips of each speaker", counts[:MAX_BARS], more=len(counts[MAX_BARS:]))
    return Section("Speakers", [bars] if counts else [Text("There are none.")])


def _columns(dataset: DatasetDir) -> list[Section]:
    """What clips keep of the corpus's table; no section where they keep nothing."""
    rows = statistics.columns(dataset.index)
    advice = Text("--where=NAME=VALUE of scripts.train and scripts.evaluate chooses clips by them.")
    table = Table(("column", "clips", "values", "commonest values, with their clips"), rows)
    return [Section("Columns of the table", wide=[table, advice])] if rows else []


def _tracking(dataset: DatasetDir, pictures: list[Picture]) -> Section:
    index, share = dataset.index, report.tracked(dataset.index)
    if not len(index):
        return Section("Tracking", wide=[Text("There are no clips.")])
    lossy = int((share < 1).sum())
    caption = f"{lossy:,} of {len(index):,} clips have frames where no face was found and the track was interpolated"
    drawing = charts.shares(share, "% of the clip's frames tracked", "clips (log)")
    chart = Picture(page.svg(drawing), f"Clips by tracked frames: {caption}", "Clips by tracked frames", caption)
    worst = _worst(dataset, share, lossy)
    legend = Text(f"The worst, frame by frame. {LEGEND}")
    return Section("Tracking", [chart, worst], [legend, *pictures]) if lossy else Section("Tracking", [chart])


def _worst(dataset: DatasetDir, share: np.ndarray, lossy: int) -> Table:
    rows = []
    for record in report.worst_tracked(dataset.index, MAX_WORST).tolist():
        row, split = dataset.index.row(record), dataset.splits[dataset.index.split[record]]
        rows.append((row.id, split, row.tracked, row.frames, 100 * float(share[record]), row.text))
    columns = ("clip", "split", "tracked", "of frames", "%", "text")
    return Table(columns, rows, "Worst tracked clips", lossy - len(rows))


def _rejects(dataset: DatasetDir) -> Section:
    counts, parts = (_counts(dataset.manifest.get(key, {})) for key in ("rejected", "left_out"))
    if not counts and not parts:
        return Section("Rejects", wide=[Text("No clip was rejected.")])
    listed = report.rejects(dataset, MAX_REJECTS)
    rows = [(reject.reason, reject.id, reject.source, reject.detail) for reject in listed]
    more = sum(count for _, count in counts + parts) - len(rows)
    table = Table(("reason", "clip", "source", "detail"), rows, f"The first {MAX_REJECTS} of each reason", more)
    missing = Text(f"{directory.REJECTED} is missing, so clips and details are unknown.")
    drawn = [Bars("Clips rejected, by reason", counts)] if counts else []
    drawn += [Bars("Parts of split clips left out, by reason", parts)] if parts else []
    return Section("Rejects", drawn, [table if listed else missing])


def _counts(reasons: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))


def _clips(dataset: DatasetDir, pictures: list[Picture], seed: int) -> Section:
    drawn = f"{len(pictures)} of {len(dataset.index):,}, drawn with seed {seed}."
    return Section("Clips", wide=[Text(f"{drawn} {LEGEND}" if pictures else "There are none."), *pictures])


def _sheet(dataset: DatasetDir, record: int) -> Picture:
    clip = directory.read_record(dataset, record)
    doubt = f", in doubt {clip.doubt:.0%}: {clip.doubt_cause}" if clip.doubt_cause else ""
    return sheet(clip, f"“{clip.text}” · {len(clip.frames)} frames, {int(clip.tracked.sum())} tracked{doubt}")


def sheet(clip: Clip, caption: str) -> Picture:
    """Draws a clip frame by frame; the caption says so if frames are left out."""
    step = -(-len(clip.frames) // SHEET_FRAMES)
    part = f"; one frame of {step} is shown" if step > 1 else ""
    source = page.webp(preview.strip(clip, SHEET_SCALE, step))
    return Picture(source, f"Lip frames of {clip.id}", clip.id, caption + part, SHEET_WIDTH)


def _settings(dataset: DatasetDir) -> Section:
    rows = [(name, str(value)) for name, value in identity.flatten(dataset.manifest["conversion"]).items()]
    return Section("Settings", wide=[Table(("setting", "value"), rows)])


def _runs(dataset: DatasetDir) -> Section:
    """Lists the runs, one a column, since they have many figures."""
    runs = report.runs(dataset)
    shown = runs[-MAX_RUNS:]
    keys = dict.fromkeys(key for run in shown for key in run)
    columns = ("", *(f"run {number}" for number in range(len(runs) - len(shown) + 1, len(runs) + 1)))
    rows = [(key, *(str(run.get(key, "")) for run in shown)) for key in keys]
    missing = Text(f"{CONVERSION} is missing, so nothing is known of them.")
    return Section("Runs of the conversion", wide=[Table(columns, rows) if rows else missing])

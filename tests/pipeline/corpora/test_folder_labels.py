import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.corpora import folder, labels, paths
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.schema import DataError

TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
2
<exists>
1
"IntervalTier"
"words"
0
2
3
0
0.5
"Good"
0.5
1.25
"day"
1.25
2
""
"""
WHISPER = {"segments": [{"start": 0.5, "end": 1.5, "text": " Good day.", "speaker": "ann"}]}
CTM = "c 1 0.5 0.25 GOOD\nd 1 0.25 0.5 so\nc 1 0.75 0.5 DAY\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.000\nGood day\n\n00:02.200 --> 00:03.000\n<v Bob>to all\n"
SRT = "1\n00:00:01,000 --> 00:00:02,000\nGood day\n\n2\n00:01:00,000 --> 00:01:01,500\nat noon\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")


def clips(root: Path, files: dict[str, str], **options: object) -> list[ClipSource]:
    write(root, files)
    return list(folder.clips(root, **options))


def test_videos_with_a_label_file_beside_them_are_clips(tmp_path: Path) -> None:
    videos = ["a.mp4", "b.MOV", "in/c.mkv", "in/deep/d.mpg", "in/e.e.webm", "f.avi", "unlabelled.mp4", "in/.hidden.mp4"]
    written = {"a.TextGrid": TEXTGRID, "b.JSON": json.dumps(WHISPER), "in/c.ctm": CTM, "in/deep/d.vtt": VTT}
    written |= {"in/e.e.srt": SRT, "f.txt": "Good\nday\n", "novideo.txt": "so", "in/.hidden.txt": "so"}
    found = clips(tmp_path, {**dict.fromkeys(videos, ""), **written})
    assert sorted(found, key=lambda clip: clip.id) == [
        ClipSource(
            "a.mp4",
            tmp_path / "a.mp4",
            None,
            "good day",
            (SpokenWord("good", 0.0, 0.5), SpokenWord("day", 0.5, 1.25)),
            "",
            labels_end=2.0,
        ),
        ClipSource("b.MOV@0.5-1.5", tmp_path / "b.MOV", (0.3, 1.5), "good day.", (), "ann"),
        ClipSource("f.avi", tmp_path / "f.avi", None, "good day", (), ""),
        ClipSource(
            "in/c.mkv",
            tmp_path / "in/c.mkv",
            None,
            "good day",
            (SpokenWord("good", 0.5, 0.75), SpokenWord("day", 0.75, 1.25)),
            "",
        ),
        ClipSource("in/deep/d.mpg@1.0-2.0", tmp_path / "in/deep/d.mpg", (0.8, 2.1), "good day", (), ""),
        ClipSource("in/deep/d.mpg@2.2-3.0", tmp_path / "in/deep/d.mpg", (2.1, 3.0), "to all", (), "Bob"),
        ClipSource("in/e.e.webm@1.0-2.0", tmp_path / "in/e.e.webm", (0.8, 2.2), "good day", (), ""),
        ClipSource("in/e.e.webm@60.0-61.5", tmp_path / "in/e.e.webm", (59.8, 61.5), "at noon", (), ""),
    ]


def test_the_first_kind_wins(tmp_path: Path) -> None:
    assert list(labels.KINDS) == [".textgrid", ".json", ".ctm", ".vtt", ".srt", ".txt"]
    write(tmp_path, {"a.mp4": "", **{f"a{suffix}": "" for suffix in labels.KINDS}})
    for suffix in labels.KINDS:
        (clip,) = folder.clips(tmp_path)
        assert clip.problem.startswith(f"a{suffix}")  # each is empty
        (tmp_path / f"a{suffix}").unlink()


def test_a_label_of_another_unicode_form_is_found(tmp_path: Path) -> None:
    (clip,) = clips(tmp_path, {"caf\u00e9.mp4": "", "cafe\u0301.txt": "so"})
    assert (clip.id, clip.text) == ("caf\u00e9.mp4", "so")


def test_directories_of_images_are_clips_where_a_label_lies_beside_them(tmp_path: Path) -> None:
    images = {"s1/take.1/1.png": "", "s1/take.2/1.png": "", "s2/b.mp4": "", "s2/b.txt": "no", "s2.txt": "of the folder"}
    found = clips(tmp_path, {**images, "s1/take.1.txt": "so"})
    assert [(clip.id, clip.text) for clip in found] == [("s1/take.1", "so"), ("s2/b.mp4", "no")]


def test_links_to_directories_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.mp4": "", "in/a.txt": "so"})
    (tmp_path / "in/loop").symlink_to(tmp_path)
    assert [clip.id for clip in folder.clips(tmp_path)] == ["in/a.mp4"]


def test_a_wrong_label_is_a_problem_of_its_video(tmp_path: Path) -> None:
    found = clips(tmp_path, {"a.mp4": "", "a.srt": "so\n", "b.mp4": "", "b.txt": "so", "c.mp4": "", "c.txt": " \n"})
    assert [(clip.id, clip.text) for clip in found] == [("a.mp4", ""), ("b.mp4", "so"), ("c.mp4", "")]
    assert found[0].problem.startswith("a.srt: no captions; want SubRip or WebVTT")
    assert found[2].problem == "c.txt: no words; correct it, or remove the row"


@pytest.mark.parametrize("files", [{}, {"a.mp4": "", "b.txt": "so"}, {"a.txt": "so"}])
def test_no_clips_are_refused_with_what_was_sought(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(
        DataError, match=r"no clips; want videos beside .*\(\.textgrid, .*\.txt\).* clips\.csv .*README"
    ):
        clips(tmp_path, files)


def test_a_source_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such directory"):
        list(folder.clips(tmp_path / "gone"))


A, B, C, D = "a.mp4", "b.mp4", "c.mp4", "d.mp4"
LABELS = {"a.srt": SRT, "labels/all.ctm": CTM, **dict.fromkeys([A, B, C, D], "")}


def test_a_row_has_text_or_labels_or_those_beside_it(tmp_path: Path) -> None:
    rows = [
        "Video,Labels,Text,Speaker",
        "a.mp4,,Own words,",
        "b.mp4, a.srt ,,eve",
        r"c.mp4,labels\all.ctm,,",
        "d.mp4,,,",
    ]
    found = clips(tmp_path, {**LABELS, "d.txt": "so", "clips.csv": "\n".join(rows)})
    assert found == [
        ClipSource("a.mp4", tmp_path / A, None, "own words", (), ""),
        ClipSource("b.mp4@1.0-2.0", tmp_path / B, (0.8, 2.2), "good day", (), "eve"),
        ClipSource("b.mp4@60.0-61.5", tmp_path / B, (59.8, 61.5), "at noon", (), "eve"),
        ClipSource(
            "c.mp4",
            tmp_path / C,
            None,
            "good day",
            (SpokenWord("good", 0.5, 0.75), SpokenWord("day", 0.75, 1.25)),
            "",
        ),
        ClipSource("d.mp4", tmp_path / D, None, "so", (), ""),
    ]


def test_a_table_of_videos_alone(tmp_path: Path) -> None:
    found = clips(tmp_path, {**LABELS, "clips.csv": "video\na.mp4\nb.mp4\ngone/e.mp4\n"})
    assert [clip.id for clip in found] == ["a.mp4@1.0-2.0", "a.mp4@60.0-61.5", "b.mp4", "gone/e.mp4"]
    assert found[2].problem == (
        "its row has neither text nor labels, and beside b.mp4 is no file of its name with "
        ".textgrid, .json, .ctm, .vtt, .srt, .txt"
    )


def test_start_and_end_keep_what_lies_between_them(tmp_path: Path) -> None:
    rows = ["video;labels;start;end", "a.mp4;;;2,5", "a.mp4;;30;90", "b.mp4;a.srt;10;20", "c.mp4;labels/all.ctm;0,6;2"]
    found = clips(tmp_path, {**LABELS, "clips.csv": "\n".join(rows)}, pad_s=5)
    assert [(clip.id, clip.span, clip.text) for clip in found] == [
        ("a.mp4@1.0-2.0", (0.0, 2.5), "good day"),
        ("a.mp4@60.0-61.5", (55.0, 61.5), "at noon"),
        ("b.mp4@10.0-20.0", (10.0, 20.0), ""),
        ("c.mp4@0.6-2.0", (0.6, 2.0), "day"),
    ]
    assert found[2].problem == "a.srt: no words within 10 to 20 s; correct it, or remove the row"
    assert found[3].words == (SpokenWord("day", 0.75, 1.25),)


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("gone.srt", "gone.srt: cannot be read (No such file or directory)"),
        ("labels", "labels: no kind of labels; want a file that ends in .textgrid, .json, .ctm, .vtt, .srt, .txt"),
        ("labels/bad.ctm", "bad.ctm line 2: want `recording channel start duration word confidence` in seconds"),
    ],
)
def test_labels_that_cannot_be_read_are_a_problem_of_their_row(tmp_path: Path, cell: str, problem: str) -> None:
    bad = {"labels/bad.ctm": "a 1 0 1 so\na 1 0 so\n"}
    (clip,) = clips(tmp_path, {**LABELS, **bad, "clips.csv": f"video,labels\na.mp4,{cell}\n"})
    assert (clip.id, clip.text, clip.problem[: len(problem)]) == ("a.mp4", "", problem)


def test_a_file_that_many_rows_name_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, read_text = Counter(), paths.read_text

    def counted(path: Path, *arguments: object) -> str:
        reads[path.name] += 1
        return read_text(path, *arguments)

    monkeypatch.setattr(paths, "read_text", counted)
    ctm = "".join(f"v{n} 1 0.5 0.5 w{n}\n" for n in range(500))
    rows = [*(f"v{n}.mp4,all.ctm,," for n in range(500)), *(f"long.mp4,,{n},{n + 1}" for n in range(0, 500, 2))]
    seconds = [f"00:{n // 60:02}:{n % 60:02}" for n in range(500)]
    srt = "".join(f"{n}\n{each},100 --> {each},900\nw{n}\n\n" for n, each in enumerate(seconds))
    table = "\n".join(["video,labels,start,end", *rows, *(f"b{n}.mp4,bad.ctm,," for n in range(9))])
    files = {"all.ctm": ctm, "bad.ctm": "so\n", "long.srt": srt, "long.mp4": "", "clips.csv": table}
    found = clips(tmp_path, files)
    assert [clip.text for clip in found] == [f"w{n}" for n in (*range(500), *range(0, 500, 2))] + [""] * 9
    assert {clip.problem[:15] for clip in found[-9:]} == {"bad.ctm line 1:"}
    assert reads == {"clips.csv": 1, "all.ctm": 1, "long.srt": 1, "bad.ctm": 1}


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("a.mp4,a.srt,so", "row 2: text, labels: want one of them, got both; leave one empty"),
        ("a.mp4,../a.srt,", "row 2: labels: want a path below the corpus"),
        ("../a.mp4,a.srt,", "row 2: video: want a path below the corpus"),
        ("a.mp4,a.srt,\nb.mp4,a.srt,\na.mp4,,", r"rows 2 and 4: the same clip, 'a\.mp4@1\.0-2\.0'"),
    ],
)
def test_bad_rows_are_refused(tmp_path: Path, row: str, match: str) -> None:
    with pytest.raises(DataError, match=rf"clips\.csv {match}"):
        clips(tmp_path, {**LABELS, "clips.csv": f"video,labels,text\n{row}\n"})


TABLE = "Video,Text,Session, Take no. ,,Light\na.mp4,so, 3 ,1,,dim\nb.mp4,no,4,2,,\n"


def test_columns_are_kept_in_the_order_asked_for(tmp_path: Path) -> None:
    found = clips(tmp_path, {"clips.csv": TABLE}, keep_columns=["light", "SESSION"])
    assert [clip.columns for clip in found] == [(("Light", "dim"), ("Session", "3")), (("Light", ""), ("Session", "4"))]
    assert folder.notes(tmp_path, keep_columns=["light", "SESSION"]) == [
        "columns of clips.csv that are ignored (1): Take no.; "
        "--keep_columns='light,SESSION,Take no.' keeps the first with its clips"
    ]
    assert folder.notes(tmp_path, keep_columns=["light", "session", "take NO."]) == []


def test_ignored_columns_are_one_line(tmp_path: Path) -> None:
    clips(tmp_path, {"clips.csv": TABLE})
    assert folder.notes(tmp_path) == [
        "columns of clips.csv that are ignored (3): Session, Take no., Light; "
        "--keep_columns=Session keeps the first with its clips"
    ]
    clips(tmp_path, {"clips.csv": "video," + ",".join(f"c{n}" for n in range(25)) + "\n"})
    assert folder.notes(tmp_path)[0].startswith("columns of clips.csv that are ignored (25): c0, c1, ")
    assert "c19 and 5 more; " in folder.notes(tmp_path)[0]
    (tmp_path / "clips.csv").unlink()
    assert folder.notes(tmp_path) == []


@pytest.mark.parametrize(
    ("keep", "match"),
    [
        (["mood"], r"--keep_columns: .*clips\.csv has no column 'mood'; it has Video, Text, Session, Take no\., Light"),
        (["session", ""], "has no column ''"),
        *[
            ([name], f"--keep_columns: '{name}' has a meaning of its own; .*split")
            for name in ("Text", *folder.COLUMNS)
        ],
        (["session", "Session"], "--keep_columns: 'session' is given twice"),
    ],
)
def test_other_columns_cannot_be_kept(tmp_path: Path, keep: list[str], match: str) -> None:
    with pytest.raises(DataError, match=match):
        clips(tmp_path, {"clips.csv": TABLE}, keep_columns=keep)


def test_columns_of_no_table_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--keep_columns: .*clips\.csv: no such file"):
        clips(tmp_path, {"a.mp4": "", "a.txt": "so"}, keep_columns=["session"])

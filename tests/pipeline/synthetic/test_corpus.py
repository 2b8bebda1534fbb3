import dataclasses
import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.schema import DataError
from pipeline.synthetic import corpus as synthetic
from pipeline.synthetic.corpus import SyntheticConfig, prepare, render, render_clip, utterances
from pipeline.synthetic.face import Identity, Light
from pipeline.synthetic.head import HeadRenderer, Pose, paint_background
from pipeline.synthetic.lips import UNIT, Mouth, outline
from pipeline.synthetic.visemes import VISEMES, WORDS, Timeline, mouth_shapes, time_sentence
from tests.face_package import FaceDetection, FaceDetectionModel, FaceLandmark, face_detection_to_roi

CONFIG = SyntheticConfig(clips=4, speakers=4, seed=3)
CORNERS_AND_INNER_LIPS = [61, 291, 13, 14]  # of the 468-point mesh, as `mouth_points` orders them


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    assert len(list(render(root, CONFIG))) == CONFIG.clips
    return root


@pytest.fixture(scope="module")
def mesh() -> FaceLandmark:
    return FaceLandmark()


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_words_are_those_of_grid_and_no_two_look_alike() -> None:
    grid = [
        "bin lay place set",
        "blue green red white",
        "at by in with",
        "a b c d e f g h i j k l m n o p q r s t u v x y z",
        "zero one two three four five six seven eight nine",
        "again now please soon",
    ]
    codes = [" ".join(slot).replace(" ", "") for slot in WORDS]
    assert codes == ["blps", "bgrw", "abiw", "bfhjlmor", "z123456789", "anps"]
    for slot, words in zip(WORDS, grid, strict=True):
        assert {word for word, _ in slot.values()} <= set(words.split())
    sequences = [visemes for slot in WORDS for _, visemes in slot.values()]
    assert len(sequences) == len(set(sequences)) == 34
    assert {name for sequence in sequences for name in sequence} < set(VISEMES)


def isolated_word(visemes: tuple[str, ...]) -> np.ndarray:
    """The mouth shapes of a word in 9 frames, `[9, 7]`, with silence before and after it."""
    edges = 4 + 9 * np.arange(len(visemes) + 1) / len(visemes)
    spans = [("SIL", 0, 4), *zip(visemes, edges[:-1], edges[1:], strict=True), ("SIL", 13, 17)]
    return np.array(mouth_shapes(Timeline((("sil", 0, 17),), tuple(spans)), fps=25))[4:13]


def test_mouth_shapes_of_any_two_words_clearly_differ() -> None:
    tracks = [isolated_word(visemes) for slot in WORDS for _, visemes in slot.values()]
    apart = [np.abs(one - other).max() for one, other in itertools.combinations(tracks, 2)]
    assert min(apart) > 0.25


@pytest.mark.parametrize("viseme", ["P", "F", "TH", "W"])
def test_mouth_reaches_the_strong_visemes_between_open_vowels(viseme: str) -> None:
    spans = (("A", 0, 4), (viseme, 4, 6), ("A", 6, 10))
    track = np.array(mouth_shapes(Timeline((("x", 0, 10),), spans), fps=25))
    assert np.abs(track - np.array(VISEMES[viseme][0])).max(axis=1).min() < 0.3
    assert track[0, 0] > 0.95
    assert track[-1, 0] > 0.95


def test_a_constant_viseme_is_its_target() -> None:
    track = mouth_shapes(Timeline((("sil", 0, 5),), (("E", 0.0, 5.0),)), fps=25)
    np.testing.assert_allclose(track, [VISEMES["E"][0]] * 5, atol=1e-6)


def test_words_cover_the_clip_and_last_6_to_10_frames() -> None:
    lengths, totals = [], []
    for seed, code in enumerate(["bbaf2n", "pgwhzp", "lrir8s", "swbo7a", "pwam5p"] * 8):
        timeline = time_sentence(code, word_frames=7.75, rng=np.random.default_rng(seed))
        spans = [(start, stop) for _, start, stop in timeline.words]
        assert spans[0][0] == 0
        assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))
        assert timeline.visemes[0][1] == 0
        assert timeline.visemes[-1][2] == pytest.approx(timeline.frames)
        lengths += [stop - start for start, stop in spans[1:-1]]
        totals.append(timeline.frames)
    assert (min(lengths), max(lengths)) == (6, 10)
    assert min(totals) >= 50
    assert max(totals) <= 65


def test_layout_is_that_of_grid(corpus: Path) -> None:
    clips = utterances(CONFIG)
    assert sorted(clip.speaker for clip in clips) == [1, 2, 3, 4]
    files = {str(path) for clip in clips for path in (clip.video, clip.alignment)}
    assert set(contents(corpus)) == {*files, "synthetic.json"}
    first = clips[0]
    assert first.video == Path("s1") / f"{first.code}.mp4"
    assert first.alignment == Path("alignments/s1") / f"{first.code}.align"


def test_names_are_valid_and_unique_within_a_speaker() -> None:
    clips = utterances(SyntheticConfig(clips=301, speakers=2))
    assert len(set(clips)) == 301
    assert [sum(clip.speaker == k for clip in clips) for k in (1, 2)] == [151, 150]
    for clip in clips:
        assert len(clip.code) == 6
        assert all(character in slot for character, slot in zip(clip.code, WORDS, strict=True))
    for slot, place in zip(WORDS, range(6), strict=True):
        assert {clip.code[place] for clip in clips} == set(slot)


def test_alignment_matches_the_name_and_covers_the_video(corpus: Path) -> None:
    for clip in utterances(CONFIG):
        rows = [line.split(" ") for line in (corpus / clip.alignment).read_text().splitlines()]
        spoken = [slot[character][0] for character, slot in zip(clip.code, WORDS, strict=True)]
        assert [word for _, _, word in rows] == ["sil", *spoken, "sil"]
        starts, stops = ([int(row[k]) for row in rows] for k in (0, 1))
        assert starts == [0, *stops[:-1]]
        assert all(stop % 1000 == 0 for stop in stops)
        assert len(decode(corpus / clip.video)) == stops[-1] // 1000


def test_video_is_h264_as_configured(tmp_path: Path) -> None:
    config = SyntheticConfig(clips=1, speakers=1, fps=50, width=240, height=200, word_seconds=0.2)
    (path,) = render(tmp_path, config)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (240, 200, 50)
    (alignment,) = (tmp_path / "alignments" / "s1").iterdir()
    assert int(alignment.read_text().split()[-2]) == 500 * len(decode(path))


def test_same_config_same_bytes_in_any_order(corpus: Path, tmp_path: Path) -> None:
    for clip in reversed(prepare(tmp_path, CONFIG)):
        render_clip(tmp_path, CONFIG, clip)
    assert contents(tmp_path) == contents(corpus)


def test_rendering_again_changes_nothing(tmp_path: Path) -> None:
    config = SyntheticConfig(clips=1, speakers=1)
    list(render(tmp_path, config))
    before = contents(tmp_path)
    list(render(tmp_path, config))
    assert contents(tmp_path) == before


def test_seed_changes_the_sentences_and_the_faces(tmp_path: Path) -> None:
    one, other = (dataclasses.replace(CONFIG, seed=seed) for seed in (3, 4))
    assert utterances(one) != utterances(other)
    clip = utterances(one)[0]
    for name, config in (("one", one), ("other", other)):
        render_clip(tmp_path / name, config, clip)
    assert (tmp_path / "one" / clip.video).read_bytes() != (tmp_path / "other" / clip.video).read_bytes()


def test_an_interruption_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SyntheticConfig(clips=1, speakers=1)
    (clip,) = utterances(config)
    all_frames = synthetic.render_frames

    def frames_that_stop(*arguments: object) -> object:
        yield from itertools.islice(all_frames(*arguments), 10)
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "render_frames", frames_that_stop)
    with pytest.raises(KeyboardInterrupt):
        render_clip(tmp_path, config, clip)
    assert set(contents(tmp_path)) == {str(clip.alignment)}
    monkeypatch.undo()
    render_clip(tmp_path, config, clip)
    assert set(contents(tmp_path)) == {str(clip.video), str(clip.alignment)}


def test_another_corpus_in_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "other.mp4").touch()
    with pytest.raises(DataError, match=rf"{tmp_path}: .*other files.*remove"):
        next(render(tmp_path, SyntheticConfig(clips=1, speakers=1)))


def test_a_corpus_of_other_settings_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path, SyntheticConfig(clips=1, speakers=1))
    assert len(prepare(tmp_path, SyntheticConfig(clips=1, speakers=1))) == 1
    with pytest.raises(DataError, match="other files"):
        prepare(tmp_path, SyntheticConfig(clips=1, speakers=1, seed=1))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("clips", 0, "clips: want 1 to 20480 per speaker, 81920 in all, got 0"),
        ("clips", 81921, "clips: want 1 to 20480 per speaker, 81920 in all, got 81921"),
        ("clips", 3, "clips: want at least one for each of the 4 speakers, got 3"),
        ("speakers", 0, "speakers: want at least 1, got 0"),
        ("seed", -1, "seed: want 0 or more, got -1"),
        ("fps", 30, "fps: want 20, 25, 40 or 50, got 30"),
        ("width", 361, "width: want an even number from 176 to 1920, got 361"),
        ("height", 100, "height: want an even number from 144 to 1080, got 100"),
        ("word_seconds", 0.0, "word_seconds: want from 0.2 to 1.0, got 0.0"),
    ],
)
def test_bad_config_is_refused(field: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        dataclasses.replace(CONFIG, **{field: value})


def mouth_points(identity: Identity, mouth: Mouth, pose: Pose) -> np.ndarray:
    """Left corner, right corner, and the inner middle of upper and lower lip: `[4, 2]` pixels (x, y)."""
    middle = outline(identity.lips, mouth, np.zeros(1))
    corner = outline(identity.lips, mouth, np.full(1, middle.half_width)).inner_top[0]
    points = np.array(
        [
            (-middle.half_width, corner),
            (middle.half_width, corner),
            (0, middle.inner_top[0]),
            (0, middle.inner_bottom[0]),
        ]
    )
    cos, sin = np.cos(pose.angle), np.sin(pose.angle)
    turn = np.array([(cos, sin), (-sin, cos)])
    return points * UNIT * pose.scale @ turn + (pose.x, pose.y)


@pytest.mark.parametrize("model", [FaceDetectionModel.FRONT_CAMERA, FaceDetectionModel.BACK_CAMERA])
def test_detector_finds_one_face(corpus: Path, model: FaceDetectionModel) -> None:
    detect = FaceDetection(model)
    found = [len(detect(frame)) for clip in utterances(CONFIG) for frame in decode(corpus / clip.video)[::2]]
    assert max(found) == 1
    assert np.mean(found) >= 0.99


def test_mesh_sits_on_the_drawn_mouth(mesh: FaceLandmark) -> None:
    detect = FaceDetection(FaceDetectionModel.FRONT_CAMERA)
    misses, drawn, seen = [], [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        identity, pose = Identity.draw(rng), Pose(180, 126, 0.82, 0.05 * (seed - 1.5))
        head = HeadRenderer(identity, Light(0.3, 0.4, 1.0), paint_background(identity, pose, (288, 360), rng))
        for viseme in VISEMES:
            mouth = VISEMES[viseme][0]
            frame = head.render(mouth, pose, blink=0.0)[..., :3]
            (face,) = detect(frame)
            marks = mesh(frame, face_detection_to_roi(face, (360, 288)))
            got = np.array([(marks[k].x * 360, marks[k].y * 288) for k in CORNERS_AND_INNER_LIPS])
            want = mouth_points(identity, mouth, pose)
            misses.append(np.linalg.norm(got - want, axis=1))
            drawn.append(np.linalg.norm(want[3] - want[2]))
            seen.append(np.linalg.norm(got[3] - got[2]))
    assert np.mean(misses) < 3
    assert np.percentile(misses, 95) < 6
    assert np.corrcoef(drawn, seen)[0, 1] > 0.9


def test_mouth_points_of_an_upright_head() -> None:
    identity = Identity.draw(np.random.default_rng(0))
    identity = dataclasses.replace(identity, lips=identity.lips._replace(width=1.0))
    points = mouth_points(identity, Mouth(1, 0, 0, 0, 0, 0, 0), Pose(100, 50, 2.0, 0.0))
    gap = 0.012 + 0.32
    want = [(-0.37, 1.02), (0.37, 1.02), (0, 1.02 - 0.3 * gap), (0, 1.02 + 0.7 * gap)]
    np.testing.assert_allclose(points, np.array(want) * 150 + (100, 50), rtol=1e-6)

import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.conversion import clip, config
from pipeline.corpora import paths
from pipeline.corpora.source import ClipSource
from pipeline.mouth.cropping import MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.schema import Clip, ClipError, DataError, Reason
from tests import datasets

CONFIG = config.ConvertConfig(name="tiny", crop=CropSettings(mode="resize"))
CROPPER = MouthCropper(CONFIG.crop)
ODD = ["new\nline", "a,b", 'quo"te', "*?[x]", "-rf", " two  spaces ", "été", "it's"]


def convert(root: Path, video: Path) -> Clip:
    (converted,) = clip.convert_clip(ClipSource("c", video, None, "bin", (), ""), root, CONFIG, CROPPER).clips
    return converted


def write_images(directory: Path, count: int = 8) -> None:
    directory.mkdir(parents=True)
    for number, frame in enumerate(datasets.pixels(count, seed=0)):
        Image.fromarray(frame).save(directory / f"{number}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A corpus with one video, next to a video and a directory of images outside it."""
    datasets.write_video(tmp_path / "corpus/in.mp4", datasets.pixels(8, seed=1, side=64))
    datasets.write_video(tmp_path / "corpus2/out.mp4", datasets.pixels(8, seed=2, side=64))
    write_images(tmp_path / "corpus2/images")
    return tmp_path / "corpus"


@pytest.mark.parametrize("name", ["a.mp4", "talks/a.mp4", "./a.mp4", "a//b.mp4", "..a/b..mp4", "http:/x", *ODD])
def test_names_below_the_root(name: str) -> None:
    assert paths.below(Path("/corpus"), name) == Path("/corpus") / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "/etc/passwd",
        "../a.mp4",
        "a/../../b",
        "..",
        "a\0b",
        "http://x/a.mp4",
        "s3://b/a",
        "file:///a",
        "C+1.x://",
    ],
)
def test_names_outside_the_root_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"path below the corpus.* got "):
        paths.below(Path("/corpus"), name)


def test_videos_and_folders_in_name_order(tmp_path: Path) -> None:
    for name in ("b.MP4", "a.mpg", ".hidden.mp4", "notes.txt", "c/x.mp4", ".d/x.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to("loop")
    assert paths.videos(tmp_path) == [tmp_path / "a.mpg", tmp_path / "b.MP4"]
    assert paths.folders(tmp_path) == [tmp_path / "c"]


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("v.mp4", "../corpus2/out.mp4"),
        ("v", "../corpus2/images"),
        ("in", "../corpus2"),
        ("v.mp4", "../corpus/../corpus2/out.mp4"),
    ],
)
def test_a_link_to_a_video_outside_is_rejected(root: Path, link: str, target: str) -> None:
    (root / link).symlink_to(target)
    video = root / "in/out.mp4" if link == "in" else root / link
    with pytest.raises(ClipError, match=r"outside_root: .*a symbolic link out of the corpus") as caught:
        convert(root, video)
    assert caught.value.reason == Reason.OUTSIDE_ROOT


def test_a_link_to_an_image_outside_is_rejected(root: Path) -> None:
    write_images(root / "clip")
    assert len(convert(root, root / "clip").frames) == 8
    (root / "clip/3.png").unlink()
    (root / "clip/3.png").symlink_to("2.png")
    assert len(convert(root, root / "clip").frames) == 8
    (root / "clip/5.png").unlink()
    (root / "clip/5.png").symlink_to(root.parent / "corpus2/images/5.png")
    with pytest.raises(ClipError, match=r"outside_root: .*clip/5\.png"):
        convert(root, root / "clip")


def test_links_inside_the_root_and_a_linked_root_are_followed(root: Path) -> None:
    (root / "again.mp4").symlink_to("in.mp4")
    (root.parent / "linked").symlink_to("corpus")
    assert len(convert(root, root / "again.mp4").frames) == 8
    assert len(convert(root.parent / "linked", root.parent / "linked/in.mp4").frames) == 8


def test_special_and_missing_files_are_unreadable_and_not_opened(root: Path) -> None:
    (root / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(root / "fifo.mp4")  # opening it would hang
    os.mkfifo(root / "inner")
    (root / "far.mp4").symlink_to("inner")
    (root / "null.mp4").symlink_to("/dev/null")
    for name in ("loop.mp4", "fifo.mp4", "far.mp4", "null.mp4", "gone.mp4", "n" * 300, "a\0b"):
        with pytest.raises(ClipError) as caught:
            convert(root, root / name)
        assert caught.value.reason == Reason.UNREADABLE, name


@pytest.mark.usefixtures("mortal")
def test_a_directory_that_cannot_be_read(root: Path) -> None:
    closed = root / "closed"
    write_images(closed)
    for mode, match in ((0o300, "closed: cannot be listed"), (0o600, "closed: cannot be searched")):
        closed.chmod(mode)
        with pytest.raises(ClipError, match=rf"{match} \(Permission denied\)") as caught:
            paths.check_video(closed, root)
        assert caught.value.reason == Reason.UNREADABLE
    for ask in (paths.folders, lambda path: paths.is_folder(path / "0.png"), lambda path: paths.exists(path / "0.png")):
        with pytest.raises(DataError, match=r"closed.*: cannot be read \(Permission denied\)"):
            ask(closed)
    closed.chmod(0o300)
    with pytest.raises(DataError, match="closed: cannot be read"):
        paths.videos(closed)
    closed.chmod(0o700)


def test_exists_for_broken_links_and_impossible_names(root: Path) -> None:
    (root / "broken").symlink_to("gone")
    names = {"in.mp4": True, "broken": True, "gone": False, "in.mp4/x": False, "a" * 300: False}
    assert {name: paths.exists(root / name) for name in names} == names


@pytest.mark.parametrize("name", ODD)
def test_odd_names_convert(root: Path, name: str) -> None:
    (root / "in.mp4").rename(root / f"{name}.mp4")
    assert len(convert(root, root / f"{name}.mp4").frames) == 8


def test_text_with_and_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffé\r\n".encode())
    (tmp_path / "b.txt").write_bytes("é\r\n".encode())
    assert [paths.read_text(tmp_path / name, tmp_path) for name in ("a.txt", "b.txt")] == ["é\r\n", "é\r\n"]


def test_text_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc")
    assert paths.read_text(tmp_path / "a.txt", tmp_path, limit=3) == "abc"
    with pytest.raises(ValueError, match=r"a\.txt: more than 2 bytes"):
        paths.read_text(tmp_path / "a.txt", tmp_path, limit=2)
    (tmp_path / "huge.txt").touch()
    os.truncate(tmp_path / "huge.txt", 2**40)  # a hole: no bytes on the disk
    with pytest.raises(ValueError, match=r"huge\.txt: more than 1,000,000 bytes"):
        paths.read_text(tmp_path / "huge.txt", tmp_path)


def test_text_that_cannot_be_read_is_named(root: Path) -> None:
    os.mkfifo(root / "fifo.txt")  # opening it would hang
    (root / "loop.txt").symlink_to("loop.txt")
    (root / "zero.txt").symlink_to("/dev/zero")
    (root.parent / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to("../secret.txt")
    (root / "latin.txt").write_bytes(b"caf\xe9")
    for name, match in [
        ("fifo.txt", "not a regular file"),
        ("loop.txt", "cannot be read"),
        ("gone.txt", r"cannot be read \(No such file or directory\)"),
        ("zero.txt", "a symbolic link out of the corpus"),
        ("out.txt", "a symbolic link out of the corpus"),
        ("latin.txt", "not UTF-8 at byte 3"),
        (".", "not a regular file"),
    ]:
        with pytest.raises(ValueError, match=f"^{Path(name).name}.*: {match}" if name != "." else match):
            paths.read_text(root / name, root)


def test_names_are_found_in_another_form_where_none_is_the_very_name(tmp_path: Path) -> None:
    entries = [tmp_path / name for name in ("a.ALIGN", "b.Align", "b.align", "cafe\u0301.txt", "C.txt", "e", ".d")]
    names = paths.Names(entries)
    wanted = (
        "a.align",
        "b.align",
        "b.ALIGN",
        "caf\u00e9.TXT",
        "c.txt",
        "e",
        "E",
        "gone",
        b"\xff".decode(errors="surrogateescape"),
    )
    found = [path and path.name for path in map(names.find, wanted)]
    assert found == ["a.ALIGN", "b.align", "b.Align", "cafe\u0301.txt", None, "e", None, None, None]


@pytest.mark.parametrize("form", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_a_byte_order_mark(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffé\U0001f600\r\n".encode(form))
    assert paths.read_text(tmp_path / "a.txt", tmp_path, limit=12) == "é\U0001f600\r\n"
    with pytest.raises(ValueError, match=r"^a\.txt: more than 11 bytes$"):
        paths.read_text(tmp_path / "a.txt", tmp_path, limit=11)


@pytest.mark.parametrize(
    ("content", "place"),
    [(b"\xff\xfea\0b", 4), (b"\xfe\xff\0a\xd8\0\0b", 4)],
    ids=["half a unit", "half a surrogate pair"],
)
def test_damaged_utf_16_is_named(tmp_path: Path, content: bytes, place: int) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^a\.txt: not UTF-16 at byte {place}; save it as UTF-8$"):
        paths.read_text(tmp_path / "a.txt", tmp_path)

import pytest
from jinja2 import UndefinedError
from PIL import Image

from scripts.reports import page
from scripts.reports.page import Aligned, Bars, Fact, Picture, Section, Table, Text
from tests.scripts import pages

EVIL = "<script>alert('1')</script> & \"so\"\non"
SEEN = "<script>alert('1')</script> & \"so\" on"


def test_every_block_is_drawn() -> None:
    source = page.webp(Image.new("RGB", (9, 6)))
    table = Table(("split", "clips", "hours"), [("train", 12345, 2.5), ("val", 7, 1 / 3)], "Sizes", more=1234)
    picture = Picture(source, "nine by six", "A picture", "of nothing", width=300)
    bars = Bars("Words", [("bin", 4), ("at", 1)], more=2)
    sections = [Section("One", [table, bars]), Section("Two", wide=[Text("a paragraph"), picture])]
    html = page.render("Corpus", "small", [("data", "a/b c")], [Fact("clips", "12,352", "in all")], sections)
    found = pages.check(html)
    assert found.text[found.text.index("One", found.text.index("Two")) :] == [
        *("One", "Sizes", "split", "clips", "hours", "train", "12,345", "2.50", "val", "7", "0.33", "and 1,234 more"),
        *("Words", "bin", "4", "at", "1", "and 2 more", "Two", "a paragraph", "A picture", "of nothing"),
    ]
    assert {"Corpus", "small", "12,352", "in all"} <= set(found.text)
    assert "data a/b c clips" in " ".join(found.text)
    assert found.pictures() == [source]
    assert {"nine by six", "min-width:300px", "width:100.0%", "width:25.0%", "#part1", "part2"} <= set(found.values)


def test_every_mistake_is_named_beside_its_words() -> None:
    pairs = [("bin", "bin"), ("blue", "red"), ("at", None), (None, "oh"), ("f", "f")]
    found = pages.check(page.render("a", "b", [], [], [Section("c", wide=[Aligned("s1/a", pairs, "sure")])]))
    assert found.text[found.text.index("s1/a") :] == [
        *("s1/a", "said", "read", "bin", "bin", "blue", "red", "substituted", "at", "–", "deleted"),  # noqa: RUF001
        *("–", "oh", "inserted", "f", "f", "sure"),  # noqa: RUF001
    ]
    struck = [tag for tag in found.tags if tag in ("del", "ins")]
    assert struck == ["del", "ins", "del", "ins"]


def test_text_is_never_markup() -> None:
    blocks = [
        Table((EVIL,), [(EVIL,)], EVIL),
        Bars(EVIL, [(EVIL, 1)]),
        Picture(page.webp(Image.new("L", (1, 1))), EVIL, EVIL, EVIL),
        Aligned(EVIL, [(EVIL, EVIL + "x"), (EVIL, None), (None, EVIL), (EVIL, EVIL)], EVIL),
        Text(EVIL),
    ]
    found = pages.check(page.render(EVIL, EVIL, [(EVIL, "x")], [Fact(EVIL, EVIL, EVIL)], [Section(EVIL, blocks)]))
    # the page's title twice, subtitle, origin, fact (3), section (2), table (3), bars (2), picture (2), aligned (7),
    # paragraph
    assert found.text.count(SEEN) == 24
    assert found.values.count(EVIL) == 2  # alt of the picture, tip of the bar


def test_long_text_is_cut() -> None:
    blocks = [Table(("a",), [("x" * 5000,)]), Bars("b", [("y" * 5000, 1)])]
    found = pages.check(page.render("c", "d", [], [], [Section("e", blocks)]))
    assert "x" * 299 + "…" in found.text
    assert "y" * 299 + "…" in found.text
    assert max(map(len, found.values)) < 400


@pytest.mark.parametrize(
    ("rows", "scale", "widths"),
    [
        ([("a", 3), ("b", 1)], 0, ["width:100.0%", "width:33.3%"]),
        ([("a", 3), ("b", 1)], 6, ["width:50.0%", "width:16.7%"]),
        ([("a", 0)], 0, ["width:0.0%"]),
        ([], 0, []),
    ],
    ids=["of the largest", "of a scale", "zero", "none"],
)
def test_bars_are_to_scale(rows: list[tuple[str, int]], scale: int, widths: list[str]) -> None:
    found = pages.check(page.render("a", "b", [], [], [Section("c", [Bars("d", rows, scale)])]))
    assert [value for value in found.values if value.startswith("width:")] == widths


def test_a_template_without_its_value_fails() -> None:
    with pytest.raises(UndefinedError):
        page._TEMPLATES.get_template("page.html").render(title="a")


@pytest.mark.parametrize(
    "html",
    [
        "<!DOCTYPE html><p><b></p></b>",
        "<!DOCTYPE html><p>",
        "<!DOCTYPE html><script></script>",
        '<!DOCTYPE html><img src="http://a/b.png">',
        '<!DOCTYPE html><img src="b.png">',
        '<!DOCTYPE html><a href="#lost"></a>',
        '<!DOCTYPE html><p onclick="1"></p>',
        "<!DOCTYPE html><style>@import 'a'</style>",
        '<!DOCTYPE html><img src="data:image/webp;base64,AAAA">',
    ],
)
def test_the_check_can_fail(html: str) -> None:
    with pytest.raises((AssertionError, OSError)):
        pages.check(html)

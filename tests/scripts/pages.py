"""What every HTML report has to satisfy."""

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from PIL import Image

VOID = {"meta", "img", "br", "link", "input", "hr"}
ADDRESSES = {"src", "href", "action", "data", "poster", "srcset", "background", "formaction"}


class Page(HTMLParser):
    """A page read by the standard parser: its elements in order, its text, its addresses and its ids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.values: list[str] = []  # of all attributes
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value or "" for _, value in attrs]
        self.addresses += [value or "" for name, value in attrs if name in ADDRESSES]
        self.ids |= {value or "" for name, value in attrs if name == "id"}
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(" ".join(data.split()))

    def pictures(self) -> list[str]:
        return [address for address in self.addresses if address.startswith("data:")]


def check(html: str) -> Page:
    """A sound page: balanced, with nothing to run or to fetch, and every picture whole."""
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(page.tags)
    assert re.search(r"(https?:)?//|@import|url\(", re.sub(r"base64,[\w+/=]+", "", _markup(html))) is None
    for address in page.addresses:
        assert address in {f"#{name}" for name in page.ids} or address in page.pictures(), address
    for address in page.pictures():
        _decode(address)
    return page


def _markup(html: str) -> str:
    """Tags and styles, without the text between tags, which may say what it likes."""
    return "".join(re.findall(r"<style>.*?</style>|<[^>]*>", html, re.DOTALL))


def _decode(address: str) -> None:
    kind, content = re.fullmatch(r"data:image/([\w+]+);base64,([\w+/=]+)", address).groups()
    binary = base64.b64decode(content, validate=True)
    if kind == "svg+xml":
        assert ElementTree.fromstring(binary).tag == "{http://www.w3.org/2000/svg}svg"
        return
    with Image.open(io.BytesIO(binary)) as image:
        image.load()
        assert image.format.lower() == kind

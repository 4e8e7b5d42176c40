"""A report's page as a browser's parser sees it: its elements, its text, and whatever it would fetch."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_FETCHING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background", "cite"}
# What stands in them stands apart from what comes before.
_BLOCKS = {"dt", "dd", "small", "td", "th", "li", "p", "h1", "h2", "h3", "caption", "summary", "div"}
_VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Page:
    """What stands in the page. `fetched`: all that is no place within it; `texts`: by the section's anchor."""

    fetched: list[str] = field(default_factory=list)
    tags: Counter[str] = field(default_factory=Counter)
    attributes: set[str] = field(default_factory=set)
    sections: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    charts: dict[str, Any] = field(default_factory=dict)
    styles: str = ""
    open_tags: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._section = ""
        self._script = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags[tag] += 1
        if tag not in _VOID:
            self.page.open_tags.append(tag)
        given = dict(attrs)
        self.page.attributes |= set(given)
        self.page.fetched += [
            value for name, value in attrs if name in _FETCHING and value and not value.startswith(("#", "data:,"))
        ]
        self.page.styles += given.get("style") or ""
        if tag in _BLOCKS:
            self.page.texts[self._section] = self.page.texts.get(self._section, "") + " "
        if tag == "section":
            self._section = given.get("id") or ""
            self.page.sections.append(self._section)
        if tag == "script":
            self._script = given.get("id") or "code"

    def handle_endtag(self, tag: str) -> None:
        assert self.page.open_tags.pop() == tag
        self._section = "" if tag == "section" else self._section
        self._script = "" if tag == "script" else self._script

    def handle_data(self, data: str) -> None:
        if self._script:
            if self._script.endswith("-data"):
                self.page.charts[self._script.removesuffix("-data")] = json.loads(data)
        elif self.page.open_tags and self.page.open_tags[-1] == "style":
            self.page.styles += data
        else:
            self.page.texts[self._section] = self.page.texts.get(self._section, "") + data.replace("\u00a0", " ")


def read_page(html: str) -> Page:
    """Parse a page; its tags must be closed in order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    page = reader.page
    assert page.open_tags == []
    page.fetched += re.findall(r"url\([^)]*\)|@import[^;]*", page.styles)
    page.texts = {name: " ".join(text.split()) for name, text in page.texts.items()}
    return page

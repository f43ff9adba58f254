"""Pages as the tests read them, and a name that tries to be more than text."""

from html.parser import HTMLParser

HOSTILE = "\"'><x onload=1>&amp;{{ 7 * 7 }}"
"""Closes an attribute and a tag, opens another, is an entity, and a command of the templates."""
VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """The tags, references and text of a page; tags must close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(str(text))
        assert self.open == []
        assert "script" not in self.tags
        assert all(what.startswith("data:image/jpeg;base64,") for what in self.refers)
        assert "x" not in self.tags
        assert self.of("onload") == []

    @property
    def refers(self) -> list[str]:
        """What it needs."""
        return [value for name, value in self.attributes if name in ("src", "href")]

    def of(self, attribute: str) -> list[str]:
        """Values of an attribute."""
        return [value for name, value in self.attributes if name == attribute]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, str(value)) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

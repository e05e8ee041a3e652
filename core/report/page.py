"""HTML of a report: every text is escaped here, nothing refers to another file, and it prints well."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SCRIPTED = f"{POLICY}; script-src 'unsafe-inline'; connect-src 'none'"


@dataclass(frozen=True)
class Html:
    """A piece of a page that is safe as it is. Everything else that meets a page is escaped."""

    text: str


def text_of(value: object) -> str:
    """The HTML of any value: that of `Html` as it is, everything else escaped."""
    return value.text if isinstance(value, Html) else html.escape(str(value), quote=True)


def element(tag: str, *children: object, **attributes: str | None) -> Html:
    """One element. `class_` gives class; an attribute that is None is left out.

    >>> element("b", "<i>", title='"').text
    '<b title="&quot;">&lt;i&gt;</b>'
    """
    said = "".join(
        f' {name.rstrip("_")}="{html.escape(value, quote=True)}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(text_of(child) for child in children)
    return Html(f"<{tag}{said}>{inner}</{tag}>" if tag not in ("img", "meta") else f"<{tag}{said}>")


def joined(parts: Iterable[object]) -> Html:
    return Html("".join(text_of(part) for part in parts))


def paragraph(*children: object, class_: str | None = None) -> Html:
    return element("p", *children, class_=class_)


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, caption: str = "") -> Html:
    """A table; cells that look like numbers are set to the right."""
    top = element("thead", element("tr", *(element("th", cell, scope="col") for cell in head)))
    body = element("tbody", *(element("tr", *(_cell(cell) for cell in row)) for row in rows))
    said = [element("caption", caption)] if caption else []
    return element("div", element("table", *said, top, body), class_="wide")


def _cell(value: object) -> Html:
    text = value if isinstance(value, Html) else str(value)
    number = isinstance(text, str) and text[:1].lstrip("+-\N{MINUS SIGN}")[:1].isdigit()
    return element("td", text, class_="number" if number else None)


def facts(pairs: Iterable[tuple[object, object]]) -> Html:
    """Names and values, one pair a line."""
    rows = (element("tr", element("th", name, scope="row"), element("td", value)) for name, value in pairs)
    return element("table", element("tbody", *rows), class_="facts")


def cards(numbers: Iterable[tuple[str, str, str]]) -> Html:
    """Headline numbers: what, how much, and what to read it against."""
    made = [
        element(
            "div",
            element("span", name, class_="what"),
            element("strong", value),
            element("span", beside, class_="beside"),
        )
        for name, value, beside in numbers
    ]
    return element("div", *made, class_="cards")


def picture(content: bytes, kind: str, *, alt: str, class_: str | None = None) -> Html:
    """An image inside the page; `kind` is jpeg, png or svg+xml."""
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return element("img", src=source, alt=alt, class_=class_)


def gallery(tiles: Iterable[tuple[Html, Sequence[str]]]) -> Html:
    """Pictures with lines below."""
    made = [
        element("figure", shown, element("figcaption", *(element("span", line) for line in lines)))
        for shown, lines in tiles
    ]
    return element("div", *made, class_="gallery")


def bullets(lines: Iterable[object]) -> Html:
    return element("ul", *(element("li", line) for line in lines))


@dataclass
class Section:
    """One chapter: its anchor, title and content; an empty one says why instead."""

    anchor: str
    title: str
    parts: list[Html] = field(default_factory=list)

    def html(self) -> Html:
        return element("section", element("h2", self.title), *self.parts, id=self.anchor)


def page(title: str, intro: Sequence[Html], sections: Sequence[Section], *, script: str = "") -> str:
    """The whole document.

    Args:
        script: JavaScript of ours that the page runs (figures that can be zoomed); "" for a page without any,
            which its own content policy then forbids.
    """
    contents = element(
        "nav", element("ol", *(element("li", _link(section)) for section in sections)), aria_label="Contents"
    )
    head = [
        element("meta", charset="utf-8"),
        Html(
            '<meta http-equiv="Content-Security-Policy" content="'
            f'{html.escape(SCRIPTED if script else POLICY)}">'
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content="Peregrine"),
        element("title", title),
        Html(f"<style>{STYLE}</style>"),
        Html(f"<script>{script}</script>" if script else ""),
    ]
    body = [element("header", element("h1", title), *intro, contents), *(one.html() for one in sections)]
    whole = element("html", element("head", *head), element("body", element("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{whole.text.replace(' aria_label=', ' aria-label=')}\n"


def _link(section: Section) -> Html:
    return element("a", section.title, href=f"#{section.anchor}")


STYLE = """
:root { color-scheme: light dark; --ink: #1f2a37; --quiet: #5b6776; --line: #d3dbe3; --page: #fff;
  --card: #f1f4f7; --link: #1f5e96; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf1; --quiet: #a3aebb; --line: #33404f;
  --page: #10171f; --card: #1a2430; --link: #7dbbea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 "Source Sans 3", "Helvetica Neue", Arial, "Liberation Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
a { color: var(--link); }
nav ol { columns: 2; padding-left: 1.25rem; }
.quiet, figcaption, caption { color: var(--quiet); font-size: .875rem; }
caption { text-align: left; padding-bottom: .35rem; }
.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; }
td.number { white-space: nowrap; overflow-wrap: normal; }
thead th { border-bottom: 2px solid var(--line); }
.cards + .facts { margin-top: 1rem; }
.gallery img + img { margin-top: .25rem; }
.facts th { font-weight: 500; color: var(--quiet); white-space: nowrap; padding-right: 1.25rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .75rem; }
.cards div { background: var(--card); border-radius: 6px; padding: .75rem 1rem; display: flex;
  flex-direction: column; }
.cards strong { font-size: 1.6rem; line-height: 1.3; }
.what, .beside { font-size: .85rem; color: var(--quiet); }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .75rem;
  margin: .75rem 0; }
.gallery figure { margin: 0; }
.gallery img { width: 100%; border-radius: 4px; display: block; }
figcaption span { display: block; line-height: 1.3; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem;
  align-items: start; margin: 1rem 0; }
.chart { margin: 0; background: #fff; border-radius: 6px; padding: .5rem; color: #1f2a37; }
.chart > img { width: 100%; height: auto; display: block; }
.chart figcaption { color: #5b6776; padding: 0 .25rem; }
pre { background: var(--card); padding: .75rem 1rem; border-radius: 6px; overflow-x: auto; font-size: .85rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
dt { font-weight: 600; margin-top: .75rem; }
dd { margin: 0 0 0 1rem; }
math { font-size: 1.05em; }
@media (max-width: 30rem) { .charts { grid-template-columns: 1fr; } nav ol { columns: 1; } }
@media print { :root { color-scheme: light; --ink: #000; --quiet: #333; --line: #bbb; --page: #fff;
    --card: #f4f4f4; --link: #000; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } nav { display: none; }
  section, figure, tr, .cards div { break-inside: avoid; } section { break-inside: auto; }
  h2, h3 { break-after: avoid; } .wide { overflow: visible; }
  @page { margin: 18mm 16mm; } }
"""

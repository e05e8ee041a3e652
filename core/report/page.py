"""HTML of a report, from the templates beside it: every text is escaped, and nothing refers to a file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from core.common.image_files import image_address

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SCRIPTED = f"{POLICY}; script-src 'unsafe-inline'; connect-src 'none'"


TEMPLATES = Environment(
    loader=PackageLoader("core.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.tests["numeric"] = lambda cell: (
    not isinstance(cell, Markup) and str(cell).lstrip("+-\N{MINUS SIGN}")[:1].isdigit()
)
parts: Any = TEMPLATES.get_template("parts.html").module  # its macros, as functions that return Markup


@dataclass
class Section:
    """One chapter: its anchor, title and content; an empty one says why instead."""

    anchor: str
    title: str
    parts: list[Markup] = field(default_factory=list)


def picture(content: bytes, kind: str, *, alt: str) -> Markup:
    """Return an image inside the page; `kind` is jpeg, png or svg+xml."""
    return parts.image(image_address(content, kind), alt)


def definitions() -> Markup:
    """Return what the terms of a report mean, with formulas in MathML that browsers draw without a script."""
    return Markup(TEMPLATES.get_template("definitions.html").render())


def page(
    title: str, intro: Sequence[Markup], sections: Sequence[Section], *, script: str = "", policy: str = ""
) -> str:
    """Return the whole document.

    Args:
        script: JavaScript of ours that the page runs (figures that can be zoomed); "" for a page without any,
            which its own content policy then forbids. policy: instead of the usual one.
    """
    return TEMPLATES.get_template("page.html").render(
        title=title,
        intro=intro,
        sections=sections,
        script=script,
        policy=policy or (SCRIPTED if script else POLICY),
    )

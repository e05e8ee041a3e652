"""Meanings of all numbers, written for people; formula and source with each. The texts: `tooltips.toml`."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from core.common.captions import with_class_names
from core.common.score_names import SCORES

MARKUP = frozenset("\\`*_{}[]()#+-.!|<>$~:^&")
# Streamlit turns these into icons, emoji, links and arrows once Markdown is parsed: no backslash helps.
REPLACED = re.compile(r":(?=//|[\w+/-]+:)|www(?=\.)|@(?=[\w-]+\.)|(?<!\S)[<>~-](?=[=>-]{1,2}(?!\S))", re.I)
JOINER = "\u2060"  # takes no room and allows no line break


@dataclass(frozen=True)
class Tooltip:
    """The meaning of a number, its formula (LaTeX without dollar signs, or empty) and its source."""

    what: str
    formula: str = ""
    source: str = ""


_WRITTEN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
TEXTS = {key: Tooltip(**text) for key, text in _WRITTEN.items()} | {
    name: Tooltip(score.tooltip, score.formula, score.source) for name, score in SCORES.items()
}


def help_text(key: str) -> str:
    """Tooltip text (what, formula, source) as Markdown; for `help=` anywhere."""
    text = TEXTS[key]
    formula = f"\n\n$$\n{text.formula}\n$$" if text.formula else ""  # on lines of its own: set as a block
    source = f"\n\nSource: {text.source}" if text.source else ""
    return f"{text.what}{formula}{source}"


def plain(text: object) -> str:
    """Return any text, made safe to stand inside Markdown: names of files and classes are shown as they are.

    A WordNet id has its name. A backslash stands before each sign of Markdown, and a joiner parts what
    Streamlit would replace.
    """
    parted = REPLACED.sub(lambda sign: sign[0] + JOINER, with_class_names(str(text)))
    return "".join(f"\\{letter}" if letter in MARKUP else letter for letter in parted)

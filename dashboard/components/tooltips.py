"""Meanings of all numbers, written for people; formula and source with each. The texts: `tooltips.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from core.common.score_names import SCORES
from dashboard.components.plain_text import plain as plain


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

"""What every number means: one place for tooltips, written for people; formula and source with each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """What a number says, its formula (LaTeX without dollar signs, or empty) and where it comes from."""

    what: str
    formula: str
    source: str


Q_PAPER = "Kalibhat et al., AAAI 2024 (arXiv 2203.01881)"

TEXTS: dict[str, Explanation] = {}

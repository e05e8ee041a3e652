"""The catalogue of figures: each drawn by its name from a study, or from several that it compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from core.charts.options import FigureOptions
from core.charts.study_charts import refuse_features
from core.charts.theme import LIGHT, Theme, paper, paper_of_width
from core.common.command_line import command_line
from core.errors import SettingsError, StudyError, did_you_mean
from core.figures.entries import ENTRIES
from core.figures.entries import Entry as Entry
from core.figures.fit_text import fit_text
from core.topics import function_named, topics

if TYPE_CHECKING:
    from core.store import Study

GUESTS = tuple(entry for topic in topics() if topic.charts for entry in function_named(topic.charts))
FIGURES = {entry.name: entry for entry in (*ENTRIES, *GUESTS)}
NAMES = tuple(FIGURES)
STYLES = ("paper", "paper-single", "paper-double", "screen")
FONTS = ("serif", "sans")


def draw(
    studies: Study | Sequence[Study],
    name: str,
    *,
    style: str = "paper",
    font: str = "serif",
    width: int | None = None,
    options: FigureOptions | None = None,
) -> go.Figure:
    """One figure of the catalogue.

    Args:
        studies: one study, or several if the figure compares them.
        name: a key of FIGURES.
        style: `paper` (the figure's own column width), `paper-single`, `paper-double` or `screen`.
        font: of the paper styles, serif or sans. width: CSS px, instead of that of a paper style.
    Raises:
        SettingsError: unknown figure, style or option, or a wrong number of studies.
        StudyError: a study lacks data of the figure; the message names the command that makes it.
    """
    entry = entry_named(name)
    several = list(studies) if isinstance(studies, Sequence) else [studies]
    _check_number(entry, several)
    options = options or FigureOptions()
    for study in several:
        check_holds(study, entry)
        refuse_features(study, options)
    theme = theme_of(style, entry, font) if width is None else paper_of_width(width, font)
    return fit_text(entry.draw(several, options, theme), theme)


def entry_named(name: str) -> Entry:
    """Return the named figure; SettingsError, naming the closest, if there is none."""
    if name not in FIGURES:
        raise SettingsError(f"no figure '{name}'.{did_you_mean(name, NAMES)} Figures: {', '.join(NAMES)}")
    return FIGURES[name]


def theme_of(style: str, entry: Entry, font: str = "serif") -> Theme:
    """Return the theme of a style; SettingsError for an unknown style or font."""
    if style not in STYLES:
        raise SettingsError(f"no style '{style}'.{did_you_mean(style, STYLES)} Styles: {', '.join(STYLES)}")
    if font not in FONTS:
        raise SettingsError(f"no font '{font}'.{did_you_mean(font, FONTS)} Fonts: {', '.join(FONTS)}")
    if style == "screen":
        return LIGHT
    return paper(column=style.partition("-")[2] or entry.column, font=font)


def check_holds(study: Study, entry: Entry) -> None:
    """Raise StudyError, with the reason and the command, when a study lacks an item that a figure needs."""
    if (reason := why_not_drawn(study, entry)) is not None:
        raise StudyError(f"no figure '{entry.name}' of '{study.path}': {reason}")


def why_not_drawn(study: Study, entry: Entry) -> str | None:
    """Why a study lacks an item that a figure needs, and the command that makes it; None where it has all."""
    for item, step in entry.needs:
        missing = study.why_missing(item)
        if missing is None:
            continue
        if missing.state in ("missing", "stale", "damaged"):
            return f"the step '{step}' is {missing}"
        if missing.state == "whole":
            return missing.reason
        return study.summary(step).get("skipped") or _why_absent(study, item, step)
    return None


def _why_absent(study: Study, item: str, step: str) -> str:
    if item == "quality_by_cause":
        return "its images do not record what makes them hard (Glyphworld's do)"
    if item == "probe_curves":
        return f"the probe was run without curves. Run: {command_line(step, study.path, curves=True)}"
    redo = f"Run: {command_line(step, study.path, redo=True)}"
    if item in ("class_means_correct", "sparsity_curves"):
        return f"no evaluation image has a probe result, or '{step}' ran before these were stored. {redo}"
    return f"it holds no '{item}'. {redo}"


def _check_number(entry: Entry, studies: Sequence[Study]) -> None:
    least, most = entry.studies
    if len(studies) < least:
        raise SettingsError(f"the figure '{entry.name}' compares two studies; give the second: --with STUDY2")
    if len(studies) > most:
        said = "one study" if most == 1 else f"at most {most} studies"
        raise SettingsError(f"the figure '{entry.name}' shows {said}; leave out --with")

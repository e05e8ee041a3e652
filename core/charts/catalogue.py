"""The catalogue of figures: each drawn by its name from a study, or from several that it compares."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, frame_of
from core.charts.options import FigureOptions
from core.charts.print_version import fit_text, legend_room
from core.charts.registry import CHARTS
from core.charts.theme import LIGHT, Theme, layout_of, paper
from core.common.command_line import command_line
from core.errors import SettingsError, StudyError, unknown_name
from core.store import Study
from core.study.missing import Missing
from core.study.steps import step_of

NAMES = tuple(CHARTS)
STYLES = ("paper", "paper-single", "paper-double", "screen")
FONTS = ("serif", "sans")


def draw(
    studies: Study | Sequence[Study],
    name: str,
    *,
    style: str = "paper",
    font: str = "serif",
    options: FigureOptions | None = None,
) -> go.Figure:
    """Draw one chart of the catalogue, of one study or several.

    Args:
        studies: one study, or several if the figure compares them.
        name: a chart of the catalogue.
        style: `paper` (the figure's own column width), `paper-single`, `paper-double` or `screen`.
        font: of the paper styles, serif or sans.
    Raises:
        SettingsError: unknown figure, style or option, or a wrong number of studies.
        StudyError: a study lacks data of the figure; the message names the command that makes it.
    """
    chart, options = chart_named(name), options or FigureOptions()
    theme = theme_of(style, chart.column, font)
    return drawn(chart, read_chart(studies, chart, options), options, theme)


def read_chart(studies: Study | Sequence[Study], chart: Chart, options: FigureOptions) -> Any:
    """Read what a chart shows of one study, or of several; see `draw`."""
    several = list(studies) if isinstance(studies, Sequence) else [studies]
    _check_number(chart, several)
    for study in several:
        check_holds(study, chart)
        _refuse_features(study, options)
    return chart.read(several, options)


def drawn(chart: Chart, data: Any, options: FigureOptions, theme: Theme) -> go.Figure:
    """Draw a chart of the catalogue from what `read_chart` returned, with no text cut."""
    figure = chart.draw(data, options, theme)
    if theme.height is not None and layout_of(figure).height == theme.height:
        layout_of(figure).height += legend_room(figure, theme)
    return fit_text(figure, theme)


def table(
    studies: Study | Sequence[Study], name: str, *, options: FigureOptions | None = None
) -> pd.DataFrame:
    """Return the numbers of a chart of the catalogue.

    Raises:
        SettingsError: a chart of pictures, which has none; else see `draw`.
    """
    chart, options = chart_named(name), options or FigureOptions()
    frame = frame_of(read_chart(studies, chart, options))
    if frame is None:
        raise SettingsError(f"the figure '{chart.name}' has no table; write it as a picture")
    return frame


def chart_named(name: str) -> Chart:
    """Return the named chart; SettingsError, naming the closest, if there is none."""
    if name not in CHARTS:
        raise SettingsError(unknown_name(f"no figure '{name}'", name, NAMES, "Figures"))
    return CHARTS[name]


def theme_of(style: str, column: str, font: str = "serif") -> Theme:
    """Return the theme of a chart by its style; SettingsError for an unknown style or font.

    Args:
        column: width of the chart where the style names none, single or double.
    """
    if style not in STYLES:
        raise SettingsError(unknown_name(f"no style '{style}'", style, STYLES, "Styles"))
    if font not in FONTS:
        raise SettingsError(unknown_name(f"no font '{font}'", font, FONTS, "Fonts"))
    if style == "screen":
        return LIGHT
    return paper(column=style.partition("-")[2] or column, font=font)


def check_holds(study: Study, chart: Chart) -> None:
    """Raise StudyError, with the reason and the command, when a study lacks an item that a figure needs."""
    if (missing := what_it_lacks(study, chart)) is not None:
        step = "" if missing.state in ("skipped", "whole") else f"the step '{missing.step}' is "
        raise StudyError(f"no figure '{chart.name}' of '{study.path}': {step}{missing}")


def what_it_lacks(study: Study, chart: Chart) -> Missing | None:
    """The first item that a figure needs and a study lacks, with the reason; None where it has all."""
    for item in chart.needs:
        missing = study.why_missing(item)
        if missing is not None:
            return _with_reason(study, missing, item) if missing.state == "skipped" else missing
    return None


def _with_reason(study: Study, missing: Missing, item: str) -> Missing:
    """An item that a step left out: why, and the command that makes it where one does."""
    step = step_of(item) or item
    if why := study.why_skipped(step):
        return replace(missing, reason=why)
    if item == "quality_by_cause":
        return replace(missing, reason="its images do not record what makes them hard (Glyphworld's do)")
    if item == "probe_curves":
        command = command_line(step, study.path, curves=True)
        return replace(missing, reason="the probe was run without curves", command=command)
    why = f"it holds no '{item}'"
    if item in ("class_means_correct", "sparsity_curves"):
        why = f"no evaluation image has a probe result, or '{step}' ran before these were stored"
    return replace(missing, reason=why, command=command_line(step, study.path, redo=True))


def _check_number(chart: Chart, studies: Sequence[Study]) -> None:
    least, most = chart.studies
    if len(studies) < least:
        raise SettingsError(f"the figure '{chart.name}' compares two studies; give the second: --with STUDY2")
    if len(studies) > most:
        maximum = "one study" if most == 1 else f"at most {most} studies"
        raise SettingsError(f"the figure '{chart.name}' shows {maximum}; leave out --with")


def _refuse_features(study: Study, options: FigureOptions) -> None:
    """Raise SettingsError for a feature number that the study does not have."""
    shape = study.manifest["items"].get("representations", {}).get("shape", [0, 0])
    outside = [feature for feature in options.features if not 0 <= feature < shape[1]]
    if outside:
        raise SettingsError(
            f"there is no feature {outside[0]} in '{study.path}': it has {shape[1]}, from 0 to {shape[1] - 1}"
        )

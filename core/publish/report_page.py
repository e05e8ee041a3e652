"""HTML of a report from its templates, with its charts and the facts of its inputs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from core.charts.catalogue import chart_named, drawn, read_chart
from core.charts.chart import whole_study
from core.charts.figure_files import HTML_CONFIG, find_browser, render_all
from core.charts.heat_panels import StudyHeats
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT
from core.common.captions import with_class_names
from core.common.dataframes import numbers
from core.common.picture_bytes import image_address, image_file
from core.common.private_paths import common_folder, relative_paths, without_folders
from core.common.records import Record
from core.common.threads import cached_property
from core.errors import PeregrineError, SettingsError
from core.measures.feature_names import feature_names
from core.measures.label_issues import doubts_on_labels, errors_of_labels
from core.measures.slice_comparison import shown_images
from core.store import Study
from core.study.missing import nothing
from core.study.progress import Progress

# HTML of a report, from the templates beside it: every text is escaped, and nothing refers to a file.


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SCRIPTED = f"{POLICY}; script-src 'unsafe-inline'; connect-src 'none'"


TEMPLATES = Environment(
    loader=PackageLoader("core.publish"),
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
    """Return an image inside the page of a report; `kind` is jpeg, png or svg+xml."""
    return parts.image(image_address(content, kind), alt)


def definitions() -> Markup:
    """Return what the terms of a report mean, with formulas in MathML that browsers draw without a script."""
    return Markup(TEMPLATES.get_template("definitions.html").render())


def page(
    title: str, intro: Sequence[Markup], sections: Sequence[Section], *, script: str = "", policy: str = ""
) -> str:
    """Return the whole HTML document of a report or a site.

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


# The charts of a report: drawn once each, and put into the page as vector pictures or as living figures.
#
# Pictures are the default: a chart is then some 20 kB instead of a share of plotly.js's 4.5 MB, prints as
# vectors, and the page runs no script at all, so that every mail program and viewer shows it. They need a
# Chrome or Chromium when the report is made. `interactive` embeds plotly.js once instead, to hover and
# zoom.


WIDTH = 660  # pixels, so that type keeps its size beside the text when two stand in a row
CHARTS = (
    "sorted_activation",
    "purity",
    "errors_found",
    "baselines",
    "q_distribution",
    "roc",
    "risk_coverage",
    "by_cause",
    "error_causes",
    "remedies",
    "miou",
    "threshold_sweep",
)


@dataclass(frozen=True)
class Charts:
    """Charts of one study by name; one that the study cannot draw is absent."""

    shown: Mapping[str, Markup]

    def row(self, *names: str) -> list[Markup]:
        """The charts of these names that there are, side by side; an empty list without any."""
        there = [self.shown[name] for name in names if name in self.shown]
        return [parts.row(there)] if there else []


def choose_interactive(interactive: bool) -> tuple[bool, str]:
    """Return True for interactive charts in a report, and a note if only for want of a browser."""
    if interactive:
        return True, ""
    try:
        find_browser()
    except SettingsError:
        return (
            True,
            "No Chrome or Chromium was found to draw charts as pictures, so they are drawn by plotly.js.",
        )
    return False, ""


def study_charts(study: Study, *, interactive: bool, progress: Progress) -> Charts:
    """Draw every chart of a report that the study holds the tables for, and count them."""
    figures = drawable(study)
    titles = [chart_named(name).title.partition(";")[0].replace(" (--score)", "") for name in figures]
    headings = [title if title[1:2].isupper() else title[0].upper() + title[1:] for title in titles]
    charts = [figure for figure, _ in figures.values()]
    described = [alt for _, alt in figures.values()]
    with progress.stage("charts", total=len(charts), unit="charts") as bar:
        pieces = embed(charts, headings, interactive, described, drawn_one=bar.update)
    return Charts(dict(zip(figures, pieces, strict=True)))


def drawable(study: Study) -> dict[str, tuple[go.Figure, str]]:
    """Draw the charts of a report that the study holds tables for, by name, with text for screen readers."""
    figures, options = {}, FigureOptions()
    for name in CHARTS:
        chart = chart_named(name)
        try:
            table = read_chart(study, chart, options)
            figures[name] = drawn(chart, table, options, LIGHT), chart.described(table)
        except PeregrineError:
            continue  # its chapter says why there is nothing
    return figures


def embed(
    figures: Sequence[go.Figure],
    titles: Sequence[str],
    interactive: bool,
    described: Sequence[str] = (),
    *,
    drawn_one: Callable[[], None] = lambda: None,
) -> list[Markup]:
    """Return charts with their titles below, as pieces of a report.

    Args:
        described: for screen readers. drawn_one: see `render_all`; not called where the browser draws them.
    """
    if interactive:
        config: dict[str, Any] = HTML_CONFIG | {"responsive": True}
        pieces = [
            Markup(one.to_html(full_html=False, include_plotlyjs=False, config=config)) for one in figures
        ]
        return [parts.chart(piece, title) for piece, title in zip(pieces, titles, strict=True)]
    for figure in figures:
        figure.update_layout(width=WIDTH)
    pictures = render_all(figures, "svg", drawn_one=drawn_one)
    facts = zip(pictures, titles, described or titles, strict=True)
    return [parts.chart(picture(svg, "svg+xml", alt=alt), title) for svg, title, alt in facts]


# Inputs of the sections of a report: facts of images, pictures, names of features.


JPEG = 85


class Source:
    """One study with its charts, and what several chapters need of what the study holds."""

    def __init__(self, study: Study, charts: Charts | None = None):
        self.study, self.charts = study, charts or Charts({})

    @cached_property
    def facts(self) -> pd.DataFrame:
        """One row an image, see `StudyHeats.facts`."""
        return StudyHeats(self.study, FigureOptions()).facts

    @cached_property
    def judged(self) -> pd.DataFrame:
        """The facts of the images of `shown_images`."""
        return self.facts.loc[shown_images(self.study)]

    @cached_property
    def words(self) -> dict[int, str]:
        """Map features to what they are called, for those that are."""
        return feature_names(whole_study(self.study))

    @cached_property
    def doubts(self) -> dict[int, Record]:
        """What speaks against the labels of images, by row."""
        try:
            return doubts_on_labels(self.study)
        except PeregrineError:  # what people left cannot be read
            return {}

    @cached_property
    def errors_of_labels(self) -> dict[int, Record]:
        """Those of `doubts` that may be why the answer counts as wrong."""
        return errors_of_labels(self.study) if self.doubts else {}

    def feature_name(self, feature: int) -> str:
        """ "Feature 12 (brick wall, red)", "Latent 12" in a basis."""
        words = self.words.get(int(feature))
        title = f"{self.study.feature_kind} {int(feature)}"
        return f"{title} ({words})" if words else title

    def reason(self, step: str) -> str:
        """Explain why a step's results are not there."""
        skipped = self.study.why_skipped(step)
        if skipped and step == "concepts" and self.study.settings(step).get("captions", "") is None:
            return str(nothing("no_words"))  # a reader of the report has no command line
        return without_folders(str(skipped or self.study.missing().get(step, "this study does not hold it.")))

    def tiles(self, rows: Iterable[int]) -> Markup:
        """Thumbnails with label, prediction and Q; images without a stored picture are named only."""
        return parts.gallery(([self.thumbnail(int(row))], self.lines(int(row))) for row in rows)

    def seen_tiles(self, rows: Iterable[int], features: Sequence[int] | None = None) -> Markup:
        """Thumbnails with label, prediction and Q, and below each its heatmap, where one is stored."""
        pairs = ((int(row), self.heat(int(row), features)) for row in rows)
        return parts.gallery(
            ([self.thumbnail(row), *([heat] if heat else [])], self.lines(row)) for row, heat in pairs
        )

    def small(self, row: int) -> bytes:
        """Return the thumbnail of an image as JPEG; empty where none is stored."""
        try:
            return self.study.thumbnail(row)
        except (PeregrineError, OSError, IndexError):
            return b""

    def thumbnail(self, row: int) -> Markup:
        body = self.small(row)
        return picture(body, "jpeg", alt=self.image_name(row)) if body else parts.no_image()

    def heat(self, row: int, features: Sequence[int] | None) -> Markup | None:
        """The picture of an image under its stored heatmap; None without one."""
        body = self.overlay(row, features)
        return picture(body, "jpeg", alt=f"heatmap of {self.image_name(row)}") if body else None

    def overlay(self, row: int, features: Sequence[int] | None) -> bytes:
        """Return the thumbnail of an image with its stored heatmap over it as JPEG; empty without one."""
        try:
            ground = self.study.thumbnail_image(row)
            overlay = self.study.overlay(row, features, ground=ground)
        except (PeregrineError, OSError, KeyError):
            return b""
        return image_file(overlay, quality=JPEG)

    @cached_property
    def _names(self) -> pd.Series:
        ids = cast(pd.Series, self.facts["image_id"])
        return relative_paths(ids, common_folder(ids))

    def image_name(self, row: int) -> str:
        """Return the id of an image; of one that is a path on this machine, below their common folder."""
        return str(self._names.iat[row])

    def lines(self, row: int) -> list[str]:
        """Return what stands below the picture of an image."""
        fact = self.facts.iloc[row]
        label, predicted, q = fact["label"], fact["predicted"], fact["q_score"]
        lines = [str(fact["image_id"]).rpartition("/")[2] if pd.isna(label) else str(label)]
        if not pd.isna(predicted) and not pd.isna(label) and str(predicted) != str(label):
            lines.append(f"taken for {predicted}")
        lines = [with_class_names(line) for line in lines]
        if row in self.doubts:
            lines.append(str(self.doubts[row]))
        return lines if pd.isna(q) else [*lines, f"Q {float(q):.3f}"]


def lowest(facts: pd.DataFrame, column: str, n: int) -> list[int]:
    """Rows of the n images of a report with the smallest value, undefined ones left out.

    Rows of the n images with the smallest value, undefined ones left out, ties in listing order.
    """
    value = numbers(facts, column)
    order = np.argsort(value, kind="stable")[: int(np.isfinite(value).sum())]
    return facts["row"].to_numpy()[order[:n]].tolist()

"""A chart as an object, and the studies that it is drawn of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.common.dataframes import LazyTable, numbers
from core.common.score_names import available_scores
from core.common.topics import function_named, topics
from core.compare.images import Shared, shared_images
from core.errors import SettingsError, SliceError, did_you_mean, unknown_name
from core.measures.slice import Slice
from core.measures.slice_comparison import shown_images
from core.store import Narrowed, Study

# A chart as an object: everything that a command, a page and a report need to know of it.
#
# A chart is of studies, or of a folder or a file of research.


MANY = 8  # studies that a chart compares at most


@dataclass(frozen=True)
class Chart:
    """A chart of a study, or of several that it compares.

    `read` returns what the chart shows, of whatever study it is given: also of one narrowed to a slice. That
    is a data frame, or an object whose attribute `frame` is the data frame with the numbers that are drawn.
    The other functions take it and read nothing.

    Attributes:
        title: what it shows, in a few words. source: paper and place, such as "Kalibhat 2024, Fig. 1", or "".
        needs: items of the study that it reads.
        table: (study, options) -> what it shows; the studies in a list where it can show several.
        draw: (what it shows, options, theme) -> figure.
        finding: (what it shows) -> one line of plain text that states what is to be seen; "" by default.
        alt: (what it shows) -> one sentence for screen readers; the title by default.
        studies: minimum and maximum number. column: its width in print, single or double.
        same_images: it compares single images of the studies, so a slice of the first one chooses them all.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    table: Callable[[Any, FigureOptions], Any]
    draw: Callable[[Any, FigureOptions, Theme], go.Figure]
    finding: Callable[[Any], str] = lambda _: ""
    alt: Callable[[Any], str] | None = None
    source: str = ""
    studies: tuple[int, int] = (1, 1)
    column: str = "single"
    same_images: bool = False

    def read(self, studies: Any, options: FigureOptions) -> Any:
        """Read what the chart shows of the studies (a sequence).

        Raises:
            PeregrineError: an option or a study that it cannot show.
        """
        return self.table(studies[0] if self.studies == (1, 1) else studies, options)

    def described(self, data: Any) -> str:
        """Return one sentence on the chart for screen readers."""
        if self.alt:
            return self.alt(data)
        first, rest = self.title[:1], self.title.partition(";")[0][1:]
        return f"{first.upper()}{rest}"


def frame_of(data: Any) -> pd.DataFrame | None:
    """Return the numbers of a chart as a data frame; None for a chart of pictures."""
    frame = data if isinstance(data, pd.DataFrame) else getattr(data, "frame", None)
    return frame if isinstance(frame, pd.DataFrame) else None


@dataclass(frozen=True)
class FolderChart:
    """A chart of a folder.

    Attributes:
        source: its number in the paper, or "". needs: what the command names instead of a study, in words.
        draw: (that path, options, theme) -> the figure. column: its width in print, single or double.
        score: `options.score` where none is given; "": that of studies.
    """

    name: str
    title: str
    source: str
    needs: str
    draw: Callable[[Path, FigureOptions, Theme], go.Figure]
    column: str = "double"
    score: str = ""


def folder_charts() -> dict[str, FolderChart]:
    """Return the charts of folders beside studies, those of all topics of research, by name."""
    named = [topic.folder_charts for topic in topics() if topic.folder_charts]
    return {chart.name: chart for name in named for chart in function_named(name)}


def known_score(table: LazyTable, score: str) -> str:
    """Return the score that a chart shows, checked to exist.

    Raises:
        SettingsError: there is no score of this name, or it has no value in this study.
    """
    if score not in (scores := available_scores(table)):
        raise SettingsError(unknown_name(f"no score '{score}' in this study", score, scores, "It has"))
    return score


def score_values(study: Study, score: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what a chart shows of a score: its values, and the correctness of the images (1, 0, NaN).

    Raises:
        SettingsError: the study does not have the score.
    """
    table = study.kept("quality")
    values, rows = numbers(table, known_score(table, score)), shown_images(study)
    return values[rows], numbers(table, "correct")[rows]


def class_numbers(study: Study, options: FigureOptions) -> list[int]:
    """Return the classes that are requested for a chart as numbers; empty if none was requested.

    Raises:
        SettingsError: the study has no such class.
    """
    numbers_by_name = {name: number for number, name in enumerate(study.class_names)}
    for name in options.classes:
        if name not in numbers_by_name:
            raise SettingsError(f"no class '{name}' in '{study.path}'.{did_you_mean(name, numbers_by_name)}")
    return [numbers_by_name[name] for name in options.classes]


def seeded_rows(n_images: int, most: int, seed: int) -> np.ndarray:
    """Draw at most `most` images for a chart in a seeded order, so that no class covers the others."""
    return np.random.default_rng(seed).permutation(n_images)[:most]


def whole_study(study: Study) -> Study:
    """Return the whole study for a chart, of a study that may be narrowed to a slice."""
    return study.whole if isinstance(study, Narrowed) else study


def shown_slice(study: Study) -> Slice:
    """Return the slice that a chart shows: the one that a study is narrowed to, else the empty one."""
    return study.slice if isinstance(study, Narrowed) else Slice()


def narrowed_of(study: Study) -> Narrowed:
    """Return a study for charts narrowed to the images of `shown_images`, or as it is narrowed."""
    return study if isinstance(study, Narrowed) else study.evaluation


def shared_of_slice(studies: Sequence[Study]) -> Shared:
    """Find for a chart the images of the first study's slice that all studies hold."""
    return shared_images([whole_study(study) for study in studies]).narrowed(shown_slice(studies[0]))


# The studies of a figure: read by the same answer, and narrowed to the same slice.


def alike(study: Study, other: Study) -> Study:
    """Return another study for a chart, read by the same answer as the first, or by its default."""
    name = study.answer_name
    return other.answering(name if name in other.answers else None)


def narrowed_study(study: Study, where: Slice | None) -> Study:
    """Narrow the study of a chart to a slice; None: the whole study.

    Raises:
        SliceError: the study lacks something that the slice names, or has no image in it.
    """
    if where is None:
        return study
    narrowed = study.where(where)
    if not narrowed.n_chosen:
        raise SliceError(f"no image of '{study.path}' is in the slice: {narrowed.slice.describe()}")
    return narrowed


def narrowed_studies(
    studies: Sequence[Study], where: Slice | None, *, same_images: bool = False
) -> list[Study]:
    """Narrow the studies of a figure to a slice.

    Args:
        same_images: the figure compares images one by one, and shows those of the first study's slice.
    """
    first, *others = studies
    if same_images:
        return [narrowed_study(first, where), *others]
    return [narrowed_study(study, where) for study in studies]

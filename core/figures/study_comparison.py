"""Figures of the page *Compare* from the studies themselves: image by image, on the images that all hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from core.common.dataframes import numbers
from core.comparison.images import Shared, shared_images
from core.comparison.measures import class_accuracy_changes, judged_of
from core.comparison.words import compare_words
from core.errors import StudyError
from core.figures import compare
from core.figures.options import FigureOptions
from core.figures.other_studies import whole_study
from core.figures.study_charts import known_score
from core.figures.theme import Theme
from core.store import Narrowed

if TYPE_CHECKING:
    from core.store import Study


def compared_scores(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot a score over correct and misclassified images in each study."""
    found = shared_scores(shared_of_slice(studies), options.score)
    return compare.score_distributions(
        compare.score_table(found, score=options.score), score=options.score, theme=theme
    )


def shared_scores(shared: Shared, score: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the score and the correctness of the shared evaluation images in each study.

    Raises:
        SettingsError: a study does not have the score.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, study, rows in zip(shared.names, shared.studies, shared.rows[:, shared.judged], strict=True):
        table = study.table("quality")
        column = known_score(table, score)
        found[name] = numbers(table, column)[rows], numbers(table, "correct")[rows]
    return found


def compared_classes(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot the accuracy of each class in the first two studies, and its change."""
    shared = shared_of_slice(studies)
    judged = shared.rows[:, shared.judged]
    correct = np.stack(
        [judged_of(study, rows).correct for study, rows in zip(shared.studies, judged, strict=True)]
    )
    table = class_accuracy_changes(correct, shared.labels[shared.judged], shared.names)
    first, other = shared.names[:2]
    return compare.class_changes(table, first, other, theme=theme)


def compared_words(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot how many words the features of each pair of studies share.

    Raises:
        StudyError: fewer than two of the studies have words.
    """
    found = compare_words(shared_of_slice(studies))
    if found is None:
        raise StudyError("words of two studies are needed")
    return compare.concept_matrix(found.matrix, theme=theme)


def shared_of_slice(studies: Sequence[Study]) -> Shared:
    """Find the images of the first study's slice that all studies hold."""
    first = studies[0]
    shared = shared_images([whole_study(one) for one in studies])
    return shared.narrowed(first.slice) if isinstance(first, Narrowed) else shared

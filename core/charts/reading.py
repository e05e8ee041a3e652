"""Read the scores, classes and images of a study that options of charts name."""

from collections.abc import Sequence

import numpy as np

from core.charts.options import FigureOptions
from core.common.dataframes import LazyTable, numbers
from core.common.score_names import available_scores
from core.comparison.images import Shared, shared_images
from core.errors import SettingsError, did_you_mean
from core.slices.inspection.populations import shown_images
from core.slices.slice import Slice
from core.store import Narrowed, Study


def known_score(table: LazyTable, score: str) -> str:
    """Return the score, checked to exist.

    Raises:
        SettingsError: there is no score of this name, or it has no value in this study.
    """
    if score not in (scores := available_scores(table)):
        raise SettingsError(
            f"no score '{score}' in this study.{did_you_mean(score, scores)} It has: {', '.join(scores)}"
        )
    return score


def score_values(study: Study, score: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the score and the correctness (1, 0, NaN) of the images of `shown_images`.

    Raises:
        SettingsError: the study does not have the score.
    """
    table = study.kept("quality")
    values, rows = numbers(table, known_score(table, score)), shown_images(study)
    return values[rows], numbers(table, "correct")[rows]


def class_numbers(study: Study, options: FigureOptions) -> list[int]:
    """Return the requested classes as numbers; empty if none was requested.

    Raises:
        SettingsError: the study has no such class.
    """
    numbers_by_name = {name: number for number, name in enumerate(study.class_names)}
    for name in options.classes:
        if name not in numbers_by_name:
            raise SettingsError(f"no class '{name}' in '{study.path}'.{did_you_mean(name, numbers_by_name)}")
    return [numbers_by_name[name] for name in options.classes]


def seeded_rows(n_images: int, most: int, seed: int) -> np.ndarray:
    """Draw at most `most` rows in a seeded order, so that no class covers the others."""
    return np.random.default_rng(seed).permutation(n_images)[:most]


def whole_study(study: Study) -> Study:
    """Return the study itself, of a study that may be narrowed to a slice."""
    return study.whole if isinstance(study, Narrowed) else study


def shown_slice(study: Study) -> Slice:
    """Return the slice that a study is narrowed to; of a whole study the empty one, which holds all."""
    return study.slice if isinstance(study, Narrowed) else Slice()


def narrowed_of(study: Study) -> Narrowed:
    """Return the study itself where it is narrowed, else narrowed to the images of `shown_images`."""
    return study if isinstance(study, Narrowed) else study.evaluation


def shared_of_slice(studies: Sequence[Study]) -> Shared:
    """Find the images of the first study's slice that all studies hold."""
    return shared_images([whole_study(one) for one in studies]).narrowed(shown_slice(studies[0]))

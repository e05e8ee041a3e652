"""Charts of what `core.slices.inspection` finds in the images of a study or of a slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from core.common.dataframes import equals, numbers, where
from core.errors import StudyError
from core.figures import concepts, overlap_scale, slices
from core.figures.options import FigureOptions
from core.figures.theme import Theme
from core.slices import finder, inspection
from core.slices.inspection import differences
from core.slices.inspection.populations import shown_images
from core.slices.inspection.words import feature_words
from core.slices.plain_names import plain_name
from core.slices.slice import Slice
from core.store import Narrowed

if TYPE_CHECKING:
    from core.store import Study

Studies = Sequence["Study"]
MOST_SLICES = 12  # rows of a chart of slices
MOST_TRAITS = 8  # on either side of a chart of differences


def control_scale(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot the mIoU of the encoder's heatmaps between that of control heatmaps."""
    return overlap_scale.miou_scale(_narrowed(studies[0]).table("overlap_scale"), theme=theme)


def confused_pairs(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot how many images of each class the probe takes for each other class.

    Raises:
        StudyError: no image has a label.
    """
    study = studies[0]
    if not study.labelled:
        raise StudyError(f"no image of '{study.path}' has a class, so none is confused with another")
    pairs = _narrowed(study).table("confusions").rename(columns={"n": "n_images"})
    classes = list(options.classes) or concepts.confused_classes(pairs, study.class_names)
    truths = [name for name in classes if name in set(pairs["true"])]
    return concepts.confusion_matrix(pairs, classes, truths=truths, theme=theme)


def slice_errors(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot the error rates of the slices that are significantly worse than the other images (of all slices,
    where none is), the worst on top.

    Raises:
        StudyError: of no image it is known whether it is classified correctly.
    """
    study, mask = _images(studies[0])
    known = finder.judged(study, mask)
    if known is None:
        raise StudyError(f"no image of '{study.path}' has a verdict, so no slice of it is worse than another")
    table = inspection.worst_within(study, mask)
    significant = numbers(table, "q") <= 0.05
    table = where(table, significant | ~significant.any()).head(options.images or MOST_SLICES)
    said = {feature: ", ".join(words) for feature, words in feature_words(study).items()}
    names = [plain_name(Slice.parse(str(text)), said) for text in table["where"]]
    overall = float(known.wrong[known.mask].mean())
    return slices.worst(table.assign(name=names), overall=overall, theme=theme)


def slice_differences(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """Plot which traits are more common in a slice than in another one, or than in all others of its split;
    of a whole study, in its misclassified images than in the correct ones.

    Raises:
        StudyError: a whole study without verdicts.
    """
    study, mask = _images(studies[0])
    if isinstance(studies[0], Narrowed):
        against = Slice.parse(options.versus) if options.versus else None
        sides = inspection.population(study, studies[0].slice, against)
        names = (_named(studies[0].slice), _named(against) if against else "all others")
    else:
        known = finder.judged(study, mask)
        if known is None:
            raise StudyError(
                f"no image of '{study.path}' has a verdict: name a slice to compare, with --where"
            )
        sides = known.mask & known.wrong, known.mask & ~known.wrong
        names = ("misclassified images", "correct images")
    words = {feature: ", ".join(said) for feature, said in feature_words(study).items()}
    table = differences.compare_traits(study, sides, words)
    table = where(table, equals(table, "kind", options.trait))
    return slices.differences(table, names, limit=options.images or MOST_TRAITS, theme=theme)


def _named(chosen: Slice) -> str:
    """What a slice is called on an axis; a saved one by its own name."""
    return chosen.saved[0] if chosen.saved else plain_name(chosen)


def _images(study: Study) -> tuple[Study, np.ndarray]:
    """Return the whole study, and which images the figure is of."""
    return study.whole if isinstance(study, Narrowed) else study, shown_images(study)


def _narrowed(study: Study) -> Narrowed:
    """Return the study itself where it is narrowed, else narrowed to the images of `shown_images`."""
    return study if isinstance(study, Narrowed) else study.evaluation

"""The studies of a figure: read by the same answer, and narrowed to the same slice."""

from collections.abc import Sequence

from core.answers.answer import PROBE
from core.errors import SliceError
from core.slices.slice import Slice
from core.store import Study


def alike(study: Study, other: Study) -> Study:
    """Another study, read by the answer that a study is read by, or by its default where it has none such."""
    name = study.answer.name if study.answer else PROBE
    return other.answering(name if name in other.answers else None)


def narrowed_study(study: Study, where: Slice | None) -> Study:
    """Narrow a study to a slice; None: the whole study.

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
    return [narrowed_study(one, where) for one in studies]

"""Cached reads of what charts show; the rules are those of `reader.py`."""

from typing import Any

from core.charts.options import FigureOptions
from core.measures.slice_tables import AS_DECIDED
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import cached_read


def chart_table(
    study: Study, where: Slice | None, name: str, options: FigureOptions, others: tuple[Study, ...] = ()
) -> Any:
    """What a chart shows of the images of a filter, beside other studies; see `Chart.read`."""
    from core.charts.registry import CHARTS  # here: it loads all charts, and the first page has none

    follows_decisions = not AS_DECIDED.keys().isdisjoint(CHARTS[name].needs)
    return (_read if follows_decisions else _kept)(study, where, name, options, others)


def _read(
    study: Study, where: Slice | None, name: str, options: FigureOptions, others: tuple[Study, ...]
) -> Any:
    from core.charts.registry import CHARTS

    beside = None if CHARTS[name].same_images else where
    studies = [narrowed(study, where), *(narrowed(one, beside) for one in others)]
    return CHARTS[name].read(studies, options)


_kept = cached_read(max_entries=64, spinner="Resampling")(_read)


def narrowed(study: Study, where: Slice | None) -> Study:
    """The study whose numbers are those of the images of a slice; None: of the whole study."""
    return study if where is None else reads.narrowed(study, where)

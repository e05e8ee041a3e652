"""Building blocks that views compose. None of them computes a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.slices import Slice
from core.store import Study


def metric(label: str, value: str, *, explain: str, detail: str | None = None) -> None:
    """A headline number as a bordered card. `explain` is a key of explain.TEXTS: its formula and source
    become the tooltip. `detail` is a short second line: base rate, interval, rank.
    """
    raise NotImplementedError


def interval(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """"0.731 (0.702 to 0.759)"; "not defined" when the value is NaN."""
    raise NotImplementedError


def number(value: float, *, digits: int = 3, unit: str = "") -> str:
    """A number for people: thousands separated, NaN as "not defined"."""
    raise NotImplementedError


def help_text(explain: str) -> str:
    """Tooltip text (what, formula, source) of a key of explain.TEXTS, as Markdown; for `help=` anywhere."""
    raise NotImplementedError


def filter_bar(study: Study, *, key: str, score: str = "q_score") -> Slice:
    """The image filter: split, class, predicted, correct, range of a score. Lives in the URL under names
    starting with `key`; filters whose column the study lacks are not shown. Returns the slice.
    """
    raise NotImplementedError


def image_gallery(
    study: Study,
    rows: np.ndarray | Sequence[int],
    *,
    key: str,
    captions: Mapping[int, Sequence[str]] | None = None,
    page_size: int = 48,
    select: bool = False,
    tile: int = 132,
) -> None:
    """Tiles of images, a page at a time; click or Enter opens the detail of an image, arrow keys move.

    rows: image rows in the order shown. captions: per row up to two lines (default: label, and Q when
    there is one). select: ctrl, cmd or shift click marks images (`state.picked_rows`). tile: least width
    in pixels. key: unique on the page; also the URL name of the page number when there is more than one.
    """
    raise NotImplementedError


def chart(
    figure: go.Figure,
    *,
    key: str,
    alt: str,
    data: pd.DataFrame | None = None,
    on_select: bool = False,
    height: int | None = None,
) -> list[dict]:
    """A figure with buttons for svg and png in its modebar and, with `data`, a csv download below.

    alt: one sentence for screen readers. on_select: clicks and lassos rerun the view; returns the selected
    points (each a dict with its `customdata`: never rely on `point_index`), else an empty list.
    """
    raise NotImplementedError


def empty_state(what: str, why: str, command: str | None = None) -> None:
    """A calm panel instead of a missing result: what is not there, why, and the command that makes it."""
    raise NotImplementedError


def needs(study: Study, item: str, what: str) -> bool:
    """True when the study holds `item`; else shows the empty state with the reason and the command."""
    raise NotImplementedError


def page_header(title: str, caption: str) -> None:
    """Title of a view and one plain sentence about what it answers."""
    st.title(title)
    st.caption(caption)

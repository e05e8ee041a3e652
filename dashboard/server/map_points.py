"""The points of a map as the browser fetches them: packed numbers at an address of their own.

The address names everything they depend on, so a browser may keep them for ever; a rerun of the page sends
the address only. 100,000 points are about 2.5 MB.
"""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import streamlit as st

from core.charts import maps
from core.charts.maps import Colouring
from core.charts.theme import theme_named
from core.common.captions import with_class_names
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import map_reads, reads
from dashboard.cache.reader import saved_stamp
from dashboard.state import served_studies
from dashboard.state.served_studies import printable, whole

THEMES = ("light", "dark")
FORMAT = 2  # of `packed`, in every address: what a browser keeps of an older one would not be understood
ALIGNED = 4  # bytes: where the numbers begin
NOTHING = np.empty(0, np.int32)


@dataclass(frozen=True)
class Wanted:
    """A map: `kind` one of `maps.AXES`, coloured `by` a column (or "activation" of `feature`) for a
    page in `theme`, of the images of a slice.
    """

    kind: str
    by: str
    feature: int = 0
    theme: str = "light"
    where: Slice = Slice()

    @staticmethod
    def of(query: Mapping[str, str]) -> "Wanted":
        """Parse an address. Raises PeregrineError for one that this module did not write."""
        try:
            request = Wanted(
                query["kind"],
                query["by"],
                whole(query.get("feature", "0"), "a feature"),
                query["theme"],
                Slice.parse(query["where"]),
            )
        except KeyError as error:
            raise PeregrineError(f"no such map: its address has no {error}") from None
        if request.kind not in maps.AXES or request.theme not in THEMES:
            kind, theme = printable(request.kind), printable(request.theme)
            raise PeregrineError(f"no map '{kind}' with theme '{theme}'")
        return request

    def address(self, study: Study) -> str:
        """Return the address of the points, relative to the page."""
        query = {
            "kind": self.kind,
            "by": self.by,
            "feature": str(self.feature),
            "theme": self.theme,
            "where": str(self.where),
            **served_studies.answer_query(study),
            "v": "-".join(map(str, (FORMAT, study.digest, *self._stamp(study)))),
        }
        return f"points/{quote(served_studies.name_of(study))}?{urlencode(query)}"

    def identity(self, study: Study) -> tuple[Hashable, ...]:
        """All that the points depend on besides the study."""
        return (self.kind, self.by, self.feature, self.theme, str(self.where), map_reads.MOST_POINTS,
                *self._stamp(study))  # fmt: skip

    def _stamp(self, study: Study) -> tuple[int, ...]:
        """What changes with the images of the slice, and with the name of the feature in the legend."""
        return saved_stamp(study, self.where, names_features=self.by == "activation")


@dataclass(frozen=True)
class Cloud:
    """The points of a map with their colours and names.

    Attributes:
        rows: (n,) rows of the study. xy: (n, 2) places. inside: (n,) bool, in the slice; the others are
            dimmed. colouring: of these points.
        names: the values that give the colours, in the order of the legend; values: (n,) int32, places in
            `names`; shades: the colour of each name, a place in the palette. All empty for a scale.
    """

    rows: np.ndarray
    xy: np.ndarray
    inside: np.ndarray
    colouring: Colouring
    names: tuple[str, ...] = ()
    values: np.ndarray = field(default_factory=lambda: NOTHING)
    shades: tuple[int, ...] = ()

    def in_slice(self) -> "Cloud":
        """The points of the slice alone, for a figure."""
        return replace(
            self,
            rows=self.rows[self.inside],
            xy=self.xy[self.inside],
            inside=self.inside[self.inside],
            colouring=self.colouring.of(self.inside),
            values=self.values[self.inside] if self.names else NOTHING,
        )


def cloud(study: Study, request: Wanted) -> Cloud:
    """The points, at most `map_reads.MOST_POINTS`."""
    return _cloud(study.key, request.identity(study), _study=study, _request=request)


def packed(study: Study, request: Wanted) -> bytes:
    """The length of a header (uint32), the header as JSON, and the numbers, all little-endian: rows int32,
    places float32 (x, y), each line that the pointer says (places in its `words` int32, or float32), places
    in the legend int32 (where there is one), codes of the colours uint8, whether in the slice uint8.

    Raises:
        PeregrineError: the study has no such map, column, feature or slice.
    """
    is_column = request.by in reads.images(study) or map_reads.names_by(study, request.by) is not None
    is_column |= request.by in [f"{map_reads.PICTURE}{name}" for name in map_reads.amounts(study)]
    if request.by != "activation" and not is_column:
        raise PeregrineError(f"no map coloured by '{printable(request.by)}'")
    try:
        return _packed(study.key, request.identity(study), _study=study, _request=request)
    except (KeyError, IndexError, ValueError) as error:
        raise PeregrineError(f"no such map: {error}") from None


@st.cache_resource(max_entries=8, show_spinner=False)
def _cloud(key: str, identity: tuple[Hashable, ...], *, _study: Study, _request: Wanted) -> Cloud:
    rows, inside = map_reads.drawn_rows(_study, _request.where, _request.by)
    colouring = _colouring(_study, _request, rows, inside)
    cloud = Cloud(rows, map_reads.places(_study, _request.kind)[rows], inside, colouring)
    if colouring.is_scale:
        return cloud
    names = map_reads.names_by(_study, _request.by)
    if names is None:  # correct or misclassified
        places = tuple(range(len(colouring.names)))
        return replace(cloud, names=colouring.names, values=colouring.codes.astype(np.int32), shades=places)
    words, values, shades = maps.legend_of(names[rows], colouring)
    return replace(cloud, names=words, values=values, shades=shades)


def _colouring(study: Study, request: Wanted, rows: np.ndarray, inside: np.ndarray) -> Colouring:
    whole = map_reads.colouring(study, request.by, request.theme, request.feature)
    names = map_reads.names_by(study, request.by)
    if whole.is_scale or names is None or maps.OTHERS not in whole.names:
        return whole.of(rows)
    look = {"title": whole.title, "theme": theme_named(request.theme)}
    drawn = maps.by_name(names[rows], **look)  # among fewer images more classes get a colour
    if not (drawn.codes[inside] == drawn.place_of(maps.OTHERS)).any():
        return drawn
    of_slice = maps.by_name(names[rows][inside], **look)
    first = [name for name in of_slice.names if name not in (maps.OTHERS, maps.UNKNOWN)]
    return maps.by_name(names[rows], order=first, **look)  # those of the slice come before the dimmed ones


@st.cache_resource(max_entries=8, show_spinner=False)
def _packed(key: str, identity: tuple[Hashable, ...], *, _study: Study, _request: Wanted) -> bytes:
    drawn = cloud(_study, _request)
    lines = map_reads.said(_study)
    header: dict[str, Any] = {
        "n": len(drawn.rows),
        "palette": drawn.colouring.palette,
        "shapes": drawn.colouring.shapes,
        "names": drawn.names,
        "shown": [with_class_names(name) for name in drawn.names],
        "shades": drawn.shades,
        "shared": drawn.colouring.place_of(maps.OTHERS),
        "missing": maps.UNKNOWN if maps.UNKNOWN in drawn.names else "",
        "title": drawn.colouring.title,
        "scale": _ends(drawn.colouring),
        "said": [{"name": line.name, "words": line.words} for line in lines],
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNED)
    arrays = [drawn.rows.astype("<i4"), drawn.xy.astype("<f4")]
    arrays += [line.values[drawn.rows].astype("<i4" if line.words else "<f4") for line in lines]
    arrays += [drawn.values.astype("<i4"), drawn.colouring.codes.astype("u1"), drawn.inside.astype("u1")]
    length = np.array([len(text)], "<u4").tobytes()
    return b"".join([length, text, *(array.tobytes() for array in arrays)])


def _ends(colouring: Colouring) -> list[float] | None:
    """The amounts at either end of a scale; None for names, and where nothing is known."""
    has_ends = colouring.is_scale and np.isfinite(colouring.low)
    return [colouring.low, colouring.high] if has_ends else None

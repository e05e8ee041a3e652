"""What a notebook shows of a study, a slice and a feature: numbers and stored pictures; texts are escaped."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import numpy as np

from core.common.captions import with_class_names
from core.common.dataframes import evenly
from core.common.formatting import counted, percent
from core.common.picture_bytes import image_address, image_file
from core.errors import PeregrineError, StudyError
from core.measures.feature_names import feature_names
from core.measures.highlights import class_accuracy
from core.measures.slice_comparison import shown_images
from core.study.reader import StudyReader

PICTURES, SIDE = 8, 112  # how many, and pixels of the longer side


class DisplayedStudy(StudyReader):
    """A study as the last expression of a notebook's cell shows it."""

    def feature(self, number: int) -> "Feature":
        """Return one feature, to be shown. Raises StudyError for a number that the study does not have."""
        n_features = len(self.table("features", ["feature"]))
        if not 0 <= number < n_features:
            raise StudyError(f"there is no feature {number} in '{self.path}': it has {n_features}, from 0")
        return Feature(self, int(number))

    def _repr_html_(self) -> str:
        rows = np.flatnonzero(shown_images(self)) if self.has("images") else np.empty(0, np.int64)
        lines = [f"{counted(self.n_images, 'image')}, {self.encoder_name or 'representations'}"]
        if self.chosen is not None:
            lines.append(f"{counted(len(rows), 'image')} of the slice: {vars(self)['slice'].describe()}")
        accuracy = class_accuracy(self, self.chosen) if self.has("probe") else None
        if accuracy:
            ends = f"{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}"
            answer = vars(self).get("answer")
            by = answer.title if answer else "linear probe"
            lines.append(f"{percent(accuracy.accuracy)} ({ends}) of {accuracy.n:,} correct ({by})")
        if missing := self.missing():
            lines.append(f"missing: {', '.join(missing)}")
        return _card(
            self.name, lines, (_thumbnail(self, int(row)) for row in rows[evenly(len(rows), PICTURES)])
        )


@dataclass(frozen=True)
class Feature:
    """One feature of a study; a notebook shows its numbers, its words and where it is strongest."""

    study: StudyReader
    number: int

    def _repr_html_(self) -> str:
        study, number = self.study, self.number
        fact = study.table("features").iloc[number]
        name = feature_names(study).get(number, "")
        images = study.images_named("train images")
        lines = [f"fires on {fact['activation_rate']:.3g} % of the {images}, {fact['tail']}"]
        if isinstance(fact["top_class"], str):
            lines.append(f"{percent(fact['purity'], 0)} of them {with_class_names(fact['top_class'])}")
        top = study.vector("top_images")[number] if study.has("top_images") else np.empty(0, np.int64)
        pictures = (_seen(study, int(row), number) for row in top[top >= 0][:PICTURES])
        return _card(f"{study.feature_kind} {number}" + (f" ({name})" if name else ""), lines, pictures)


def _card(title: str, lines: Iterable[str], pictures: Iterable[str]) -> str:
    divs = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return f"<div><strong>{escape(title)}</strong>{divs}<div>{''.join(pictures)}</div></div>"


def _thumbnail(study: StudyReader, row: int) -> str:
    try:
        return _image(study, row, study.thumbnail(row))
    except (PeregrineError, OSError, IndexError):
        return ""


def _seen(study: StudyReader, row: int, feature: int) -> str:
    """Return an image under the heatmap of a feature, or alone where none is stored."""
    try:
        shown = study.overlay(row, [feature], ground=study.thumbnail_image(row))
    except (PeregrineError, OSError, KeyError):
        return _thumbnail(study, row)
    return _image(study, row, image_file(shown, quality=85))


def _image(study: StudyReader, row: int, body: bytes) -> str:
    fact = study.images.iloc[row]
    title = escape(" ".join(str(fact[name]) for name in ("image_id", "label") if isinstance(fact[name], str)))
    source = image_address(body)
    return f'<img src="{source}" title="{title}" alt="{title}" style="max-width:{SIDE}px;margin:2px">'

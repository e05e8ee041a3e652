"""A slice: a serialisable selection of images, shared by views, exports and links.

In text form, a slice is a list of `column=value` pairs, all of which must hold:

    split=val label=dog,cat correct=false q_score=0.1..0.3 fires=12,40 confusion=dog>cat background=sand

A range may be open (`q_score=..0.1`); text with spaces or special characters is quoted as in JSON. `@name`
refers to a slice saved in the study and contains the same images. `tag=doubtful` and `wrong_label=true` are
what people left on the images (see `core.study`); a study's own column of such a name goes before.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.common.captions import split_images
from core.common.formatting import joined
from core.common.score_names import SCORES
from core.common.threads import cached_property
from core.errors import SliceError, did_you_mean
from core.measures import evaluate as slice_evaluate
from core.measures import slice_text
from core.measures.image_columns import WHY, cause_name
from core.study.reader import StudyReader

NOTHING = (None, "", (), {})  # values of fields that exclude no image


@dataclass(frozen=True)
class Slice:
    """Images that fulfil every given condition; the empty slice contains all images.

    Attributes:
        name: its display name; not a condition.
        split: 'train' or 'val'.
        labels, predicted: class names, any of which may match.
        correct: whether the probe classifies the image correctly.
        ranges: numeric column -> (minimum, maximum), both included; infinite if open. NaN never matches.
        fires: feature numbers, all of which must fire on the image.
        concepts: words; each must be kept by some feature that the image highly activates.
        confusion: (true class, predicted class).
        image_ids: only these images.
        extras: any other column -> the values that match, as text.
        saved: names of slices saved in the study, all of which must contain the image.
    """

    name: str = ""
    split: str | None = None
    labels: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()
    correct: bool | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fires: tuple[int, ...] = ()
    concepts: tuple[str, ...] = ()
    confusion: tuple[str, str] | None = None
    image_ids: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    saved: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Normalise the fields, so that equal selections compare equal and have the same text."""
        ranges = {str(key): _bounds(key, pair) for key, pair in sorted(self.ranges.items())}
        fires = {_feature(number) for number in self.fires}
        extras = {str(key): _names(values) for key, values in sorted(self.extras.items())}
        confusion = None if self.confusion is None else _pair(self.confusion)
        canonical: dict[str, Any] = {
            "ranges": ranges,
            "fires": tuple(sorted(fires)),
            "confusion": confusion,
            "extras": extras,
        }
        for name in ("labels", "predicted", "concepts", "image_ids", "saved"):
            canonical[name] = _names(getattr(self, name))
        for name, value in canonical.items():
            object.__setattr__(self, name, value)
        if both := sorted(set(self.ranges) & set(self.extras)):
            raise SliceError(f"'{both[0]}' is given twice, as a range and as values")

    def __hash__(self) -> int:
        return hash(str(self))

    def __bool__(self) -> bool:
        """Return False for the slice that excludes nothing."""
        fields = (item.name for item in dataclasses.fields(self) if item.name != "name")
        return any(getattr(self, name) not in NOTHING for name in fields)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return slice_text.write_text(self.to_dict())

    @cached_property
    def _json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> "Slice":
        """Parse the text form of a slice that somebody gives.

        Raises:
            SliceError: the text is not a list of `column=value` pairs, or too long.

        >>> Slice.parse("split=val label=dog q_score=0.1..0.3").ranges
        {'q_score': (0.1, 0.3)}
        """
        return cls.of_saved(slice_text.checked(text))

    @classmethod
    def of_saved(cls, text: str) -> "Slice":
        """Parse the text of a slice saved in a study, which may name any number of images."""
        return cls.from_dict(slice_text.read(text))

    def to_dict(self) -> dict[str, Any]:
        """Return the conditions as a JSON-able dict; None stands for an open end of a range."""
        given = {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if getattr(self, item.name) not in NOTHING
        }
        ranges = {
            key: [end if math.isfinite(end) else None for end in pair] for key, pair in self.ranges.items()
        }
        return given | ({"ranges": ranges} if ranges else {})

    @classmethod
    def from_dict(cls, conditions: Mapping[str, Any]) -> "Slice":
        field_names = [item.name for item in dataclasses.fields(cls)]
        for key in conditions:
            if key not in field_names:
                hint = did_you_mean(key, field_names)
                short = f"a slice has no '{key}'.{hint}"
                raise SliceError(f"{short} It has: {', '.join(field_names)}", short=short)
        return cls(**conditions)

    def to_json(self) -> str:
        return self._json

    @classmethod
    def from_json(cls, text: str) -> "Slice":
        return cls.from_dict(json.loads(text))

    def parts(self) -> "list[Slice]":
        """Split the slice into slices of one condition each, in the order of the text form."""
        single: list[dict[str, Any]] = []
        for name, value in self.to_dict().items():
            if name in ("ranges", "extras"):
                single += [{name: {key: some}} for key, some in getattr(self, name).items()]
            elif name in ("fires", "concepts", "saved"):
                single += [{name: (one,)} for one in value]
            elif name != "name":
                single.append({name: value})
        return [Slice(**conditions) for conditions in single]

    @classmethod
    def joined(cls, parts: "Iterable[Slice]") -> "Slice":
        """Combine slices into one on which all conditions hold; for a repeated key the last one counts."""
        values: dict[str, Any] = {}
        for part in parts:
            for name, value in part.to_dict().items():
                if name in ("ranges", "extras"):
                    other = "extras" if name == "ranges" else "ranges"
                    values[other] = {
                        key: some for key, some in values.get(other, {}).items() if key not in value
                    }
                    values[name] = values.get(name, {}) | value
                elif name in ("fires", "concepts", "saved"):
                    values[name] = (*values.get(name, ()), *value)
                elif name != "name":
                    values[name] = value
        return cls(**values)

    def mask(self, study: StudyReader) -> np.ndarray:
        """(n_images,) bool, in the order of the study's images.

        Raises:
            SliceError: the study lacks a column, class, feature or image that the slice names.
        """
        return slice_evaluate.mask(self, study)

    def describe(self) -> str:
        """Describe the slice in plain words.

        >>> Slice(split="val", labels=("dog",), correct=False, fires=(12,)).describe()
        'evaluation images of dog, misclassified, on which feature 12 fires'
        """
        parts = [self._subject(), *self._conditions()]
        return ", ".join(part for part in parts if part)

    def _subject(self) -> str:
        kind = split_images(self.split)
        of = f" of {joined(self.labels, 'or')}" if self.labels else ""
        every = "" if self or self.name else "all "
        return f"{every}{kind}{of}"

    def _conditions(self) -> list[str]:
        phrases = []
        if self.predicted:
            phrases.append(f"predicted as {joined(self.predicted, 'or')}")
        if self.correct is not None:
            phrases.append("classified correctly" if self.correct else "misclassified")
        if self.confusion:
            phrases.append(f"{self.confusion[0]} taken for {self.confusion[1]}")
        names = {key: SCORES[key].label if key in SCORES else key for key in self.ranges}
        phrases += [f"{names[key]} {_between(*pair)}" for key, pair in self.ranges.items()]
        phrases += [_of_column(key, values) for key, values in self.extras.items()]
        if self.fires:
            plural = len(self.fires) > 1
            features = " and ".join(map(str, self.fires))
            phrases.append(f"on which feature{'s' * plural} {features} fire{'s' * (not plural)}")
        if self.concepts:
            phrases.append(f"that show {' and '.join(self.concepts)}")
        if self.saved:
            phrases.append(f"in the slice {' and in '.join(self.saved)}")
        if self.image_ids:
            many = len(self.image_ids) > 3
            phrases.append(f"{len(self.image_ids)} chosen ones" if many else joined(self.image_ids, "or"))
        return phrases


def _names(values: Iterable[Any] | str | bool | int | float) -> tuple[str, ...]:
    """Return the distinct texts in alphabetical order; a single value becomes a list of one."""
    if isinstance(values, (str, bool, int, float, np.generic)):
        values = (values,)
    return tuple(sorted({_text(value) for value in values}))


def _text(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    return str(value)


def _feature(number: Any) -> int:
    if isinstance(number, bool) or int(number) != number or number < 0:
        raise SliceError(f"'{number}' is not a feature number; features are numbered from 0")
    return int(number)


def _pair(values: Iterable[Any]) -> tuple[str, str]:
    pair = tuple(map(str, values))
    if len(pair) != 2:
        raise SliceError("a confusion needs two classes, the true and the predicted one: confusion=dog>cat")
    return pair[0], pair[1]


def _bounds(column: str, pair: Iterable[float | None]) -> tuple[float, float]:
    low, high = pair
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    if not low <= high:
        raise SliceError(f"the range {column}={low:g}..{high:g} is empty; the lower end comes first")
    return low, high


def _of_column(column: str, values: tuple[str, ...]) -> str:
    if column == slice_evaluate.WRONG_LABEL and values in (("true",), ("false",)):
        return f"whose label {'is' if values == ('true',) else 'is not'} marked as wrong"
    if column == WHY:
        return f"with the cause “{joined([cause_name(value) for value in values], 'or')}”"
    return f"{'tagged' if column == slice_evaluate.TAG else column} {joined(values, 'or')}"


def _between(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "known"
    if math.isinf(low):
        return f"at most {high:g}"
    return f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"

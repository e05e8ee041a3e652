"""Work traces of a study: notes, tags, decisions on labels and names that people leave; also as tables."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import DamagedTraces, TraceError
from core.study import trace_limits
from core.study.kept_file import KeptFile
from core.study.layers import below
from core.study.reader import StudyReader
from core.study.seals import Damaged

# Work traces of a study: notes, tags, decisions on labels and names that people leave, and views.
#
# from core.study import trace_changes, traces
# changes.set_tags(study, "val/dog/7.jpg", ["doubtful"])
# traces.read_traces(study.path).images["val/dog/7.jpg"].tags
#
# They lie in `traces.json`, which is not a result and stays outside the manifest.


FILE = "traces.json"
REPAIR = "Move it away; or repair its texts and delete the line with its checksum"
UNSURE = "unsure"  # a wrong label, and no class is suggested instead


@dataclass(frozen=True)
class ImageTrace:
    """Note and tags of one image, and what was decided on its label (`core.study.label_decisions`).

    Attributes:
        note: any text. tags: in alphabetical order.
        wrong_label: the class that the image should have, or `UNSURE`; empty where the label is not doubted.
        right_label: the label that somebody looked at and left, which holds as long as it is the label; empty
            where nobody did, or where it is doubted.
    """

    note: str = ""
    tags: tuple[str, ...] = ()
    wrong_label: str = ""
    right_label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "note", trace_limits.checked_note(self.note))
        object.__setattr__(self, "tags", trace_limits.checked_tags(self.tags))
        object.__setattr__(self, "wrong_label", trace_limits.checked_class(self.wrong_label))
        right = trace_limits.checked_class(self.right_label)
        object.__setattr__(self, "right_label", "" if self.wrong_label else right)

    def __bool__(self) -> bool:
        return bool(self.note or self.tags or self.wrong_label or self.right_label)


@dataclass(frozen=True)
class FeatureTrace:
    """Name, note and tags of one feature.

    Attributes:
        name: shown instead of the feature's words. note: any text. tags: in alphabetical order.
    """

    name: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", trace_limits.checked_name(self.name))
        object.__setattr__(self, "note", trace_limits.checked_note(self.note))
        object.__setattr__(self, "tags", trace_limits.checked_tags(self.tags))

    def __bool__(self) -> bool:
        return bool(self.name or self.note or self.tags)


@dataclass(frozen=True)
class Traces:
    """All traces of a study: by image id, by feature number, and the addresses of saved views by name."""

    images: Mapping[str, ImageTrace] = field(default_factory=dict)
    features: Mapping[int, FeatureTrace] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", trace_limits.checked_views(self.views))

    @property
    def image_tags(self) -> list[str]:
        return sorted({tag for image in self.images.values() for tag in image.tags}, key=_alphabetical)

    @property
    def feature_tags(self) -> list[str]:
        return sorted({tag for feature in self.features.values() for tag in feature.tags}, key=_alphabetical)

    @property
    def feature_names(self) -> dict[int, str]:
        """The names that people gave."""
        return {number: feature.name for number, feature in self.features.items() if feature.name}

    def content(self) -> dict[str, Any]:
        """Return what the file holds: nothing that is empty."""
        images = {key: _given(one) for key, one in sorted(self.images.items()) if one}
        features = {str(key): _given(one) for key, one in sorted(self.features.items()) if one}
        content: dict[str, Any] = {"images": images, "features": features}
        if self.views:
            content["views"] = dict(self.views)
        return content


def traces_home(folder: Path) -> Path:
    """The folder that keeps traces of images, and views: those of a basis are of its study."""
    return below(folder) or folder


def read_traces(folder: Path) -> Traces:
    """Return the traces of a study, of a basis with those of its study's images; empty if nobody left any.

    Raises:
        DamagedTraces: the file has been changed or damaged, or holds what no trace may, and so does its copy;
            it is left unchanged.
        StudyError: the file cannot be read or points outside the study folder.
    """
    return replace(kept_traces(traces_home(folder)), features=kept_traces(folder).features)


def kept_traces(folder: Path) -> Traces:
    """Return the traces that a study's or a basis's own file holds; raises as `read_traces`."""
    return KEPT.read(folder) or Traces()


def traces_stamp(folder: Path) -> tuple[int, ...]:
    """Return a value that changes with every change of a study's traces; empty if nobody left any."""
    return *KEPT.stamp(folder), *KEPT.stamp(traces_home(folder))


def _parsed(content: dict[str, Any]) -> Traces:
    try:
        images = {str(key): ImageTrace(**one) for key, one in content["images"].items()}
        features = {_number(key): FeatureTrace(**one) for key, one in content["features"].items()}
        return Traces(images, features, content.get("views", {}))
    except TraceError as error:
        raise Damaged(f"holds something that is no trace ({error})") from error


def _number(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) < 10):
        raise ValueError(f"'{key[:20]}' is not a feature number")
    return int(key)


KEPT = KeptFile(
    FILE, ".traces.lock", ("images", "features", "views"), "notes", DamagedTraces, REPAIR, _parsed
)


def _given(one: ImageTrace | FeatureTrace) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if value}


def _alphabetical(text: str) -> tuple[str, str]:
    return text.casefold(), text


# The traces of a study as tables.


IMAGE_COLUMNS = ("image_id", "label", "note", "tags", "wrong_label", "right_label")
FEATURE_COLUMNS = ("feature", "name", "note", "tags")
BETWEEN = ", "  # two tags, which hold no comma


def images_table(study: StudyReader) -> pd.DataFrame:
    """Return one row per image of a study with a trace, by id; without a label where the image is gone."""
    traces = read_traces(study.path).images
    labels = study.images.set_index("image_id")["label"].reindex(list(traces)).astype(object)
    rows = []
    for (image_id, one), label in zip(traces.items(), labels, strict=True):
        given = None if pd.isna(label) else label
        rows.append((image_id, given, one.note, BETWEEN.join(one.tags), one.wrong_label, one.right_label))
    return pd.DataFrame(rows, columns=list(IMAGE_COLUMNS)).astype(object)


def features_table(study: StudyReader) -> pd.DataFrame:
    """Return one row per feature of a study with a trace that people left, by number."""
    traces = sorted(read_traces(study.path).features.items())
    rows = [(number, one.name, one.note, BETWEEN.join(one.tags)) for number, one in traces]
    frame = pd.DataFrame(rows, columns=list(FEATURE_COLUMNS)).astype(object)
    return frame.astype({"feature": "int64"})

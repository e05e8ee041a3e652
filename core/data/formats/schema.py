"""What the columns of a Hugging Face data set are: from the schema of its files, and what `datasets` adds."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from core.common.inside import parse_json
from core.data.sources.columns import COLUMNS, place_columns
from core.data.sources.source import some
from core.errors import ImageSourceError, did_you_mean

IMAGE_NAMES = ("image", "img", "picture", "jpg", "png", "image_bytes", "bytes")


@dataclass(frozen=True)
class Columns:
    """Which columns of a data set are the image, its label and further attributes."""

    image: str
    label: str | None
    by_place: bool = False  # `image` holds addresses or paths of pictures, as text
    classes: dict[str, list[str]] = field(default_factory=dict)  # of each column of ClassLabel
    further: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def find_roles(schema: pa.Schema, path: str, label: str | None, *, image: str | None = None) -> Columns:
    """Find the image, the label and the further columns of a data set.

    The label is `label`, else the column of ClassLabel that is called so, else the first of them, else a
    column with a usual name of labels.

    Raises:
        ImageSourceError: there is no column of images, or no column `label`.
    """
    images = image_columns(schema)
    if image is not None and image not in images:
        raise ImageSourceError(
            f"'{path}' has no column '{image}' of images (it has {some(images, 20)})."
            f"{did_you_mean(image, images)}"
        )
    if image is not None:
        images = [image]
    by_place = not images
    if by_place and not (images := places(schema)):
        raise ImageSourceError(
            f"no column of images in '{path}' (columns: {some(schema.names, 20)}). Expected bytes of image "
            "files, as `datasets` writes them, or a column `url` or `path` of text"
        )
    usual_images = [] if by_place else [name for name in IMAGE_NAMES if name in images]
    image = [*usual_images, *images][0]
    pictures = images[:1] if by_place else image_columns(schema)
    plain = [one.name for one in schema if one.name not in pictures and _is_plain(one.type)]
    if label is not None and label not in plain:
        raise ImageSourceError(
            f"'{path}' has no column '{label}' of labels (columns: {some(plain, 20)})."
            f"{did_you_mean(label, plain)}"
        )
    classes = class_labels(schema, plain)
    usual = [name for alias in COLUMNS["label"] for name in plain if name.lower() == alias]
    column = label or next((n for n in usual if n in classes), None) or next(iter(classes), None)
    column = column or next(iter(usual), None)
    left_out = tuple(one.name for one in schema if one.name != image and one.name not in plain)
    further = tuple(name for name in plain if name != column)
    return Columns(image, column, by_place, classes, further, left_out)


def class_labels(schema: pa.Schema, columns: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the classes of each column of ClassLabel, in the order of their numbers."""
    features = _features(schema)
    return {name: names for name in columns if (names := _class_names(features.get(name)))}


def image_columns(schema: pa.Schema) -> list[str]:
    features = _features(schema)
    names = []
    for one in schema:
        kind = one.type
        is_marked = isinstance(features.get(one.name), dict) and features[one.name].get("_type") == "Image"
        parts = [kind.field(i) for i in range(kind.num_fields)] if pa.types.is_struct(kind) else []
        holder = any(part.name == "bytes" and _is_binary(part.type) for part in parts)
        if holder or (_is_binary(kind) and (is_marked or one.name.lower() in IMAGE_NAMES)):
            names.append(one.name)
    return names


def places(schema: pa.Schema) -> list[str]:
    """List the columns of text that hold paths or addresses of pictures by their names."""
    return place_columns(one.name for one in schema if _is_text(one.type))


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return what `datasets` wrote of each column; empty where it is missing or damaged."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: Any) -> list[str]:
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return []
    names = feature.get("names")
    return [str(name) for name in names] if isinstance(names, list) else []


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_plain(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, _is_text)
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return any(test(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)

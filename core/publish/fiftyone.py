"""Images of a study as a data set of FiftyOne: the folder that its type FiftyOneDataset reads."""

import base64
import io
import json
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from core.publish.known_images import (
    FIELDS,
    HEAT,
    LEVELS,
    NUMBER,
    PREFIX,
    TEXT,
    TEXTS,
    TRUTH,
    WHOLE,
    ImageMaps,
    KnownImages,
)

VERSION = "1.0.0"  # of FiftyOne, whose newer releases read the data sets of older ones
FIELD_TYPES = "fiftyone.core.fields."
KINDS = {
    **{
        TEXT: "StringField",
        NUMBER: "FloatField",
        WHOLE: "IntField",
        TRUTH: "BooleanField",
        TEXTS: "ListField",
    },
    **{"vector": "VectorField", "array": "ArrayField", "date": "DateTimeField", "id": "ObjectIdField"},
}
LABELS = {  # what each type of a label holds beside id and tags
    "Classification": {"label": TEXT, "confidence": NUMBER, "logits": "vector"},
    "Heatmap": {"map": "array", "map_path": TEXT, "range": "range"},
    "Segmentation": {"mask": "array", "mask_path": TEXT},
}
METADATA = {
    **{"size_bytes": WHOLE, "mime_type": TEXT, "width": WHOLE, "height": WHOLE, "num_channels": WHOLE}
}
# Each pair of a class and the number that says how likely it is becomes one label.
CLASSIFICATIONS = {
    "prediction": ("predicted", "confidence"),
    "suggestion": ("suggested", "suggested_confidence"),
}
EMBEDDING = f"{PREFIX}embedding"
EPOCH = {"$date": "1970-01-01T00:00:00Z"}  # FiftyOne writes the time of its import
DATA = "data"


def write_fiftyone(exported: KnownImages, folder: Path) -> int:
    """Export images for FiftyOne: `samples.json`, `metadata.json`, and pictures that are no files here.

    Returns:
        the number of samples.
    """
    maps = ImageMaps(exported.study)
    types: dict[str, Any] = {}
    with open(folder / "samples.json", "w", encoding="utf-8") as file:
        file.write('{"samples": [')
        for at, vector in enumerate(_vectors(exported)):
            sample = _sample(exported, at, folder) | _maps(exported, at, maps)
            sample |= {} if vector is None else {EMBEDDING: _binary(vector)}
            types |= {name: value for name, value in sample.items() if name.startswith(PREFIX)}
            file.write(",\n" * (at > 0) + json.dumps(sample, ensure_ascii=False))
        file.write("]}\n")
    described = json.dumps(_metadata(exported, types), ensure_ascii=False)
    (folder / "metadata.json").write_text(f"{described}\n", encoding="utf-8")
    return len(exported)


def _vectors(exported: KnownImages) -> Iterator[np.ndarray | None]:
    if not exported.study.has("representations"):
        yield from [None] * len(exported)
        return
    for part in exported.vectors():
        yield from part


def _sample(exported: KnownImages, at: int, folder: Path) -> dict[str, Any]:
    key = exported.paths[at]
    values = exported.of_image(at)
    labels = {}
    for name, (label, confidence) in CLASSIFICATIONS.items():
        text, number = values.pop(f"{PREFIX}{label}", None), values.pop(f"{PREFIX}{confidence}", None)
        if text is not None:
            labels[f"{PREFIX}{name}"] = _label("Classification", key, name, label=text, confidence=number)
    path = key if exported.root else exported.write_picture(at, folder, DATA)
    random = int(sha256(key.encode()).hexdigest()[:8], 16) / 16**8
    sample = {"_id": _id(key), "filepath": path, "tags": exported.tags[at], "_media_type": "image"}
    return sample | {"_rand": random, **labels, **values}


def _maps(exported: KnownImages, at: int, maps: ImageMaps) -> dict[str, Any]:
    """Heatmap and masks of an image, held in the sample: relative paths of files are read below `rel_dir`."""
    labels = {}
    for name, values in maps.of_image(int(exported.rows[at])).items():
        binary = _binary(values)
        is_heat = name == HEAT
        inside = {"map": binary, "range": [0.0, float(LEVELS)]} if is_heat else {"mask": binary}
        kind, field = ("Heatmap", HEAT) if is_heat else ("Segmentation", f"mask_{name}")
        labels[f"{PREFIX}{field}"] = _label(kind, exported.paths[at], field, **inside)
    return labels


def _label(kind: str, key: str, name: str, **values: Any) -> dict[str, Any]:
    return {"_id": _id(f"{key}\0{name}"), "_cls": kind, "tags": [], **values}


def _id(key: str) -> dict[str, str]:
    """Return the id of an image, which is the same in each export."""
    return {"$oid": sha256(key.encode()).hexdigest()[:24]}


def _binary(values: np.ndarray) -> dict[str, Any]:
    """An array as FiftyOne stores it: NumPy's own file, deflated."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(values), allow_pickle=False)
    text = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
    return {"$binary": {"base64": text, "subType": "00"}}


def _metadata(exported: KnownImages, examples: dict[str, Any]) -> dict[str, Any]:
    usual = [_field("id", "id", db_field="_id"), _field("filepath", TEXT), _field("tags", TEXTS)]
    usual.append(_document("metadata", "fiftyone.core.metadata.ImageMetadata", METADATA))
    usual += [_field("created_at", "date"), _field("last_modified_at", "date")]
    masks = [name for name, value in examples.items() if _class_of(value) == "Segmentation"]
    described = [_described(name, value) for name, value in examples.items()]
    metadata = {
        "_id": _id(json.dumps(exported.facts)),
        "name": exported.facts["study"],
        "version": VERSION,
        "created_at": EPOCH,
        "last_modified_at": EPOCH,
        "media_type": "image",
    }
    metadata |= {"info": {f"{PREFIX}{name}": value for name, value in exported.facts.items()}}
    metadata |= {"mask_targets": {name: {str(LEVELS): name.removeprefix(f"{PREFIX}mask_")} for name in masks}}
    metadata |= {"sample_fields": [*usual, *described]}
    return metadata


def _class_of(value: Any) -> str:
    return value.get("_cls", "") if isinstance(value, dict) else ""


def _described(name: str, value: Any) -> dict[str, Any]:
    """The entry of a field of ours, by one of its values."""
    if kind := _class_of(value):
        inside = {"id": "id", "tags": TEXTS} | LABELS[kind]
        return _document(name, f"fiftyone.core.labels.{kind}", inside)
    return _field(name, "vector" if name == EMBEDDING else FIELDS[name.removeprefix(PREFIX)])


def _document(name: str, kind: str, inside: dict[str, str]) -> dict[str, Any]:
    fields = [_field(one, of, db_field="_id" if one == "id" else one) for one, of in inside.items()]
    of_document = {
        "ftype": f"{FIELD_TYPES}EmbeddedDocumentField",
        "embedded_doc_type": kind,
        "fields": fields,
    }
    return _field(name, TEXT) | of_document


def _field(name: str, kind: str, *, db_field: str = "") -> dict[str, Any]:
    subfield = {TEXTS: "StringField", "range": "FloatField"}.get(kind)
    field_type = f"{FIELD_TYPES}{KINDS.get(kind, 'HeatmapRangeField')}"
    subfield_type = subfield and f"{FIELD_TYPES}{subfield}"
    return {
        "name": name,
        "ftype": field_type,
        "embedded_doc_type": None,
        "subfield": subfield_type,
        "fields": [],
        "db_field": db_field or name,
        "description": None,
        "info": None,
        "read_only": kind == "date",
    }

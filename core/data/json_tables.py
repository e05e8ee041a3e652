"""Tables in files of JSON: lists of objects, columns, objects of names, as pandas and others write them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.data.annotation_rows import scalars, storable, text_or_none
from core.data.source import split_named
from core.data.table_text import is_image_name

COOP = ("path", "number", "label")  # of the lists in a split of CoOp
RECORDS = ("data", "images", "samples", "items", "records", "rows", "annotations")


def frame_of_json(tree: Any) -> pd.DataFrame | None:
    """Return the rows of a JSON file that is a table of images; None for another one."""
    if isinstance(tree, list):
        return _of_records(tree) if not _are_pairs(tree) else _of_pairs(tree)
    if not isinstance(tree, dict) or not tree:
        return None
    for read in (_of_splits, _of_classes, _of_names, _of_listed_classes, _of_columns, _of_inner_list):
        if (frame := read(tree)) is not None and len(frame):
            return frame
    return None


def _of_records(items: Sequence[Any]) -> pd.DataFrame | None:
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    columns = scalars([_flat(item) for item in items], ())
    return _frame(columns, len(items)) if columns else None


def _are_pairs(items: Sequence[Any]) -> bool:
    """Whether a list has pairs of an image and a label, as the dataset.json of StyleGAN."""
    pairs = all(isinstance(item, list) and len(item) == 2 for item in items)
    return (
        bool(items) and pairs and all(isinstance(item[0], str) and is_image_name(item[0]) for item in items)
    )


def _of_pairs(items: Sequence[Any]) -> pd.DataFrame | None:
    labels = [text_or_none(label) for _, label in items]
    if any(label is None and given is not None for label, (_, given) in zip(labels, items, strict=True)):
        return None
    return _frame({"path": [name for name, _ in items], "label": labels}, len(items))


def _of_listed_classes(tree: Mapping[str, Any]) -> pd.DataFrame | None:
    """{"metainfo": {"classes": […]}, "data_list": [{"img_path", "gt_label"}]} of OpenMMLab, and
    {"labels": [["a.png", 0], …]} of StyleGAN."""
    if isinstance(tree.get("labels"), list) and _are_pairs(tree["labels"]):
        return _of_pairs(tree["labels"])
    rows, about = tree.get("data_list"), tree.get("metainfo")
    frame = _of_records(rows) if isinstance(rows, list) else None
    if frame is None or not {"img_path", "gt_label"} <= set(frame.columns):
        return frame
    names = about.get("classes") if isinstance(about, dict) else None
    numbers = frame["gt_label"]
    are_numbers = pd.api.types.is_integer_dtype(numbers)
    if isinstance(names, list) and are_numbers and numbers.dropna().between(0, len(names) - 1).all():
        labels = [None if pd.isna(number) else str(names[int(number)]) for number in numbers]
        frame = frame.assign(gt_label=pd.array(labels, dtype="str"))
    return frame.rename(columns={"img_path": "path", "gt_label": "label"})


def _flat(item: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the fields of objects inside, and the only value of lists of one."""
    flat: dict[str, Any] = {}
    for name, value in item.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            flat[name] = value[0] if isinstance(value, list) and len(value) == 1 else value
    return flat


def _frame(columns: Mapping[str, Sequence[Any]], n_rows: int) -> pd.DataFrame:
    whole = {name: _column(values) for name, values in columns.items()}
    return pd.DataFrame(whole, index=range(n_rows))


def _column(values: Sequence[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return pd.array(list(values), dtype="Int64") if None in values else list(values)
    if kinds <= {int, float, bool}:
        return list(values)
    return pd.array([None if value is None else storable(str(value)) for value in values], dtype="str")


def _of_splits(tree: Mapping[str, Any]) -> pd.DataFrame | None:
    """{"train": [["a.jpg", 0, "cat"], …], "val": …}, as CoOp has it; or lists of objects or names."""
    if not all(split_named(name) and isinstance(rows, list) for name, rows in tree.items()):
        return None
    parts = []
    for name, rows in tree.items():
        part = _of_split_rows(rows)
        if rows and part is None:
            return None
        parts += [] if part is None else [part.assign(split=name)]
    return pd.concat(parts, ignore_index=True) if parts else None


def _of_split_rows(rows: list[Any]) -> pd.DataFrame | None:
    if all(isinstance(row, list) and len(row) == len(COOP) for row in rows):
        return _of_records([dict(zip(COOP, row, strict=True)) for row in rows])
    if all(isinstance(row, str) for row in rows):
        return _of_records([{"path": row} for row in rows])
    return _of_records(rows)


def _of_classes(tree: Mapping[str, Any]) -> pd.DataFrame | None:
    """{"cat": ["cat/1", "cat/2"], …}, as Food-101 lists its images by class."""
    if not all(isinstance(names, list) and names for names in tree.values()):
        return None
    pairs = [(name, label) for label, names in tree.items() for name in names]
    texts = [name for name, _ in pairs if isinstance(name, str) and ("/" in name or is_image_name(name))]
    if len(texts) < len(pairs):
        return None
    return _frame({"path": texts, "label": [label for _, label in pairs]}, len(pairs))


def _of_names(tree: Mapping[str, Any]) -> pd.DataFrame | None:
    """{"a.jpg": "cat", …} or {"a.jpg": {"label": "cat"}, …}."""
    if not all(map(is_image_name, tree)):
        return None
    if all(isinstance(value, dict) for value in tree.values()):
        return _of_records([{**value, "path": name} for name, value in tree.items()])
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in tree.values()]
    labels = [text_or_none(value) for value in values]
    return _frame({"path": list(tree), "label": labels}, len(tree))


def _of_columns(tree: Mapping[str, Any]) -> pd.DataFrame | None:
    """Columns of one length, as lists or as objects by row (pandas), or `columns` beside `data`."""
    names, rows = tree.get("columns"), tree.get("data")
    if isinstance(names, list) and isinstance(rows, list):
        is_whole = all(isinstance(row, list) and len(row) == len(names) for row in rows)
        return (
            _of_records([dict(zip(map(str, names), row, strict=True)) for row in rows]) if is_whole else None
        )
    if all(isinstance(value, dict) for value in tree.values()):
        keys = list(next(iter(tree.values())))
        if not keys or any(list(value) != keys for value in tree.values()):
            return None
        return _of_records([{name: tree[name][key] for name in tree} for key in keys])
    if not all(isinstance(value, list) for value in tree.values()):
        return None
    lengths = {len(value) for value in tree.values()}
    if len(lengths) != 1 or len(tree) < 2:
        return None
    rows = [dict(zip(tree, values, strict=True)) for values in zip(*tree.values(), strict=True)]
    return _of_records(rows)


def _of_inner_list(tree: Mapping[str, Any]) -> pd.DataFrame | None:
    """The only list of objects in an object, such as {"data": [{…}, …]}."""
    lists = [name for name in RECORDS if isinstance(tree.get(name), list)]
    return _of_records(tree[lists[0]]) if len(lists) == 1 else None

"""Data sets that `datasets` writes, as it loads them again."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from datasets import Sequence as Several

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb, save_all, tree

NAMES = ["cat", "dog", "hot dog", "zebra"]
Make = Callable[..., Dataset]
datasets.disable_progress_bars()


def made(
    n: int = 8, first: int = 0, names: Sequence[str] | None = NAMES, label: str = "label", **more: Any
) -> Dataset:
    """n pictures with class labels, or with text where there are no names."""
    count = len(names or NAMES)
    numbers = [number % count for number in range(n)]
    kind = ClassLabel(names=list(names)) if names else Value("string")
    values = numbers if names else [NAMES[number] for number in numbers]
    columns = {"image": [drawn(first + number) for number in range(n)], label: values, **more}
    features = {"image": Image(), label: kind}
    features |= {
        name: datasets.features.features.generate_from_arrow_type(
            datasets.Dataset.from_dict({name: held}).data.schema.field(name).type
        )
        for name, held in more.items()
    }
    return Dataset.from_dict(columns, Features(features))


def loaded(
    data: Dataset, split: str = "", label: str | None = "label", text: str | None = None
) -> list[Picture]:
    """What the library returns of each row; of a missing label (-1 or None) nothing."""
    kind = data.features.get(label) if label else None
    pictures = []
    for row in data:
        value = row[label] if label else None
        name = (
            kind.int2str(value)
            if isinstance(kind, ClassLabel) and value is not None and value >= 0
            else value
        )
        name = None if name is None or name == -1 else str(name)
        pictures.append(Picture(rgb(row["image"]), name, split, text=row[text] if text else ""))
    return pictures


def of_all(held: Any, **options: Any) -> list[Picture]:
    """The pictures of a data set, or of the splits of several."""
    if isinstance(held, Dataset):
        return loaded(held, **options)
    return [one for split, data in held.items() for one in loaded(data, str(split), **options)]


def two(n: int = 8) -> DatasetDict:
    return DatasetDict({"train": made(n), "test": made(4, first=40)})


def to_disk(
    folder: Path,
    data: Callable[[], Any],
    *,
    spec: str = "{folder}/data",
    options: dict[str, Any] | None = None,
    **how: Any,
) -> WrittenData:
    data().save_to_disk(folder / "data", **how)
    return WrittenData(
        spec=spec, pictures=of_all(datasets.load_from_disk(folder / "data"), **(options or {}))
    )


def parquet(
    folder: Path,
    data: Callable[[], Dataset],
    *,
    name: str = "data.parquet",
    more: str = "",
    excused: str = "",
    options: dict[str, Any] | None = None,
) -> WrittenData:
    data().to_parquet(folder / name)
    held = datasets.load_dataset(
        "parquet", data_files=str(folder / name), split="train", cache_dir=str(folder / "cache")
    )
    return WrittenData(
        spec=f"{{folder}}/{name}{more}", pictures=of_all(held, **(options or {})), excused=excused
    )


def hub_folder(folder: Path, splits: dict[str, Dataset], *, shards: int = 1) -> WrittenData:
    """`data/SPLIT-NNNNN-of-NNNNN.parquet`, as push_to_hub lays them."""
    (folder / "data" / "data").mkdir(parents=True)
    for split, data in splits.items():
        for shard in range(shards):
            data.shard(shards, shard).to_parquet(
                folder / "data" / "data" / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
            )
    held = datasets.load_dataset(str(folder / "data"), cache_dir=str(folder / "cache"))
    return WrittenData(spec="{folder}/data", pictures=of_all(held))


def differing() -> dict[str, Dataset]:
    """Splits whose class labels have other names (a class fewer)."""
    return {"train": made(8), "validation": made(6, first=40, names=["cat", "hot dog", "zebra"])}


def imagefolder(folder: Path, *, splits: bool = True, metadata: str = "") -> WrittenData:
    root = folder / "data"
    if splits:
        tree(root / "train", ["cat", "dog", "owl"])
        tree(root / "test", ["cat", "dog", "owl"], 2, first=20)
    else:
        tree(root, ["cat", "dog", "owl"])
    held = datasets.load_dataset("imagefolder", data_dir=str(root), cache_dir=str(folder / "cache"))
    if not splits:
        held = held["train"]
    return WrittenData(spec="{folder}/data", pictures=of_all(held))


def with_metadata(
    folder: Path, form: str, column: str, *, splits: bool = False, spec: str = "{folder}/data", then: str = ""
) -> WrittenData:
    """A folder of pictures with metadata.csv, .jsonl or .parquet."""
    root, written = folder / "data", {}
    for at, split in enumerate(("train", "test") if splits else ("",)):
        base = root / split
        names = [f"{number:04d}.png" for number in range(6)]
        save_all([base / name for name in names], first=10 * at)
        rows = [{"file_name": name, column: _value(column, number)} for number, name in enumerate(names)]
        written[split] = rows
        if form == "jsonl":
            (base / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif form == "csv":
            Dataset.from_list(rows).to_csv(base / "metadata.csv")
        else:
            Dataset.from_list(rows).to_parquet(base / "metadata.parquet")
    held = datasets.load_dataset("imagefolder", data_dir=str(root), cache_dir=str(folder / "cache"))
    held = held if splits else held["train"]
    options = {"label": column} if column == "label" else {"label": None, "text": column}
    pictures = of_all(held, **options)
    if column != "label":
        for picture in pictures:
            picture.label = ""
    return WrittenData(spec=spec, pictures=pictures)


def rows_of(folder: Path, files: list[str], tables: dict[str, list[dict[str, Any]]]) -> WrittenData:
    """Pictures at these places, and metadata.jsonl in these folders; the truth has what their rows say."""
    root = folder / "data"
    for number, name in enumerate(files):
        save_all([root / name], number)
    for place, rows in tables.items():
        (root / place / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    held = datasets.load_dataset("imagefolder", data_dir=str(root), cache_dir=str(folder / "cache"))
    pictures = []
    for split, data in held.items():
        label = "label" if "label" in data.column_names else None
        text = "text" if "text" in data.column_names else None
        found = loaded(data, str(split) if len(held) > 1 else "", label, text)
        for picture in found:
            picture.label = picture.label if label else ""
        pictures += found
    return WrittenData(spec="{folder}/data", pictures=pictures)


def row(name: str, label: str = "", text: str = "", column: str = "file_name") -> dict[str, Any]:
    return {column: name, **({"label": label} if label else {}), **({"text": text} if text else {})}


def all_rows(names: list[str], **more: Any) -> dict[str, list[dict[str, Any]]]:
    return {"": [row(name, NAMES[n % 3], **more) for n, name in enumerate(names)]}


def rows_below(names: list[str], folders: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """A table in each folder, which names its pictures from there."""
    held = {folder: [name for name in names if name.startswith(f"{folder}/")] for folder in folders}
    return {
        folder: [row(one.rpartition("/")[2], NAMES[n % 2]) for n, one in enumerate(inside)]
        for folder, inside in held.items()
    }


IN_IMAGES = [f"images/{number}.png" for number in range(6)]
IN_SPLITS = [f"{split}/{split}{number}.png" for split in ("train", "test") for number in range(4)]
IN_CLASSES = [f"{name}/{name}{number}.png" for name in ("a", "b", "c") for number in range(3)]
METADATA: dict[str, tuple[list[str], dict[str, list[dict[str, Any]]]]] = {
    "paths in images/": (IN_IMAGES, all_rows(IN_IMAGES)),
    "some images have no row": (IN_IMAGES, all_rows(IN_IMAGES[:4])),
    "label and text": (IN_IMAGES, all_rows(IN_IMAGES, text="A picture in colours")),
    "image_file_name": (IN_IMAGES, all_rows(IN_IMAGES, column="image_file_name")),
    "numbers as labels": (
        IN_IMAGES,
        {"": [{"file_name": name, "label": n % 3} for n, name in enumerate(IN_IMAGES)]},
    ),
    "train/ and test/ with a table each": (IN_SPLITS, rows_below(IN_SPLITS, ("train", "test"))),
    "class folders and labels": (IN_CLASSES, all_rows(IN_CLASSES)),
    "class folders with a table each": (IN_CLASSES, rows_below(IN_CLASSES, ("a", "b", "c"))),
    "class folders and text alone": (
        IN_CLASSES,
        {"": [row(name, text=f"A picture of number {n}") for n, name in enumerate(IN_CLASSES)]},
    ),
}


def _value(column: str, number: int) -> str:
    return NAMES[number % 3] if column == "label" else f"A picture with the number {number}, in colours"


def to_csv(folder: Path, *, form: str = "csv") -> WrittenData:
    """Paths and text labels; the pictures lie beside."""
    save_all([folder / "data" / f"{number}.png" for number in range(6)])
    rows = [{"image": f"{number}.png", "label": NAMES[number % 3]} for number in range(6)]
    data = Dataset.from_list(rows)
    {"csv": data.to_csv, "json": data.to_json, "parquet": data.to_parquet}[form](
        folder / "data" / f"list.{form}"
    )
    pictures = [Picture(rgb(folder / "data" / row["image"]), row["label"], file=row["image"]) for row in data]
    return WrittenData(spec=f"{{folder}}/data/list.{form}", pictures=pictures)


def captions(folder: Path, form: str, *, lists: bool = False, column: str = "caption") -> WrittenData:
    texts = [f'A dog number {number}, on a "{name}" mat' for number in range(4) for name in ("red", "blue")]
    held = [texts[at : at + 2] for at in range(0, 8, 2)] if lists else texts
    data = Dataset.from_dict({"image_id": list(range(len(held))), column: held})
    {"csv": data.to_csv, "jsonl": data.to_json, "parquet": data.to_parquet}[form](folder / f"captions.{form}")
    back = datasets.load_dataset(
        {"jsonl": "json"}.get(form, form),
        data_files=str(folder / f"captions.{form}"),
        split="train",
        cache_dir=str(folder / "cache"),
    )
    said = back[column]
    if lists and form != "csv":
        said = [one for each in said for one in each]
    return WrittenData(captions=f"{{folder}}/captions.{form}", texts=texts if form == "csv" else list(said))


def shuffled() -> Dataset:
    return made(12).shuffle(seed=3).select([1, 3, 5, 7, 8])


def missing() -> Dataset:
    data = made(8)
    values = [-1 if number == 2 else value for number, value in enumerate(data["label"])]
    return (
        data.remove_columns("label").add_column("label", values).cast_column("label", ClassLabel(names=NAMES))
    )


def several() -> Dataset:
    columns = {
        "image": [drawn(number) for number in range(6)],
        "label": [[number % 4, 3] for number in range(6)],
    }
    return Dataset.from_dict(columns, Features({"image": Image(), "label": Several(ClassLabel(names=NAMES))}))


def coarse_and_fine() -> Dataset:
    data = made(8, label="fine_label")
    return data.add_column("coarse_label", [number % 2 for number in range(8)]).cast_column(
        "coarse_label", ClassLabel(names=["pet", "wild"])
    )


def fine(folder: Path) -> WrittenData:
    return parquet(folder, coarse_and_fine, options={"label": "fine_label"}, more="?label=fine_label")


def paths_only(folder: Path) -> WrittenData:
    """Parquet whose pictures are paths and no bytes (`embed_external_files=False`)."""
    tree(folder / "data", ["cat", "dog"])
    data = datasets.load_dataset(
        "imagefolder", data_dir=str(folder / "data"), split="train", cache_dir=str(folder / "cache")
    )
    data.to_parquet(
        folder / "data.parquet", embed_external_files=False
    ) if "embed_external_files" in Dataset.to_parquet.__code__.co_varnames else data.to_parquet(
        folder / "data.parquet"
    )
    return WrittenData(spec="{folder}/data.parquet", pictures=loaded(data))


def arrow_cache(folder: Path) -> WrittenData:
    """One file of a saved data set."""
    made(8).save_to_disk(folder / "data")
    return WrittenData(
        spec="{folder}/data/data-00000-of-00001.arrow",
        pictures=loaded(datasets.load_from_disk(folder / "data")),
    )


def tars(folder: Path) -> WrittenData:
    """`datasets` reads WebDataset's shards."""
    root = folder / "data"
    root.mkdir()
    with tarfile.open(root / "train-0000.tar", "w") as tar:
        for number in range(6):
            for ending, held in (("png", _png(number)), ("cls", str(number % 3).encode())):
                about = tarfile.TarInfo(f"{number:05d}.{ending}")
                about.size = len(held)
                tar.addfile(about, io.BytesIO(held))
    data = datasets.load_dataset(
        "webdataset", data_files=str(root / "train-0000.tar"), split="train", cache_dir=str(folder / "cache")
    )
    pictures = [Picture(rgb(row["png"]), str(row["cls"])) for row in data]
    return WrittenData(spec="{folder}/data/train-0000.tar", pictures=pictures)


def _png(number: int) -> bytes:
    file = io.BytesIO()
    drawn(number).save(file, "PNG")
    return file.getvalue()


CASES = {
    ("save_to_disk", "one split"): partial(to_disk, data=made),
    ("save_to_disk", "train and test"): partial(to_disk, data=two),
    ("save_to_disk", "three shards"): partial(to_disk, data=made, num_shards=3),
    ("save_to_disk", "shuffled and selected"): partial(to_disk, data=shuffled),
    ("save_to_disk", "labels as text"): partial(to_disk, data=partial(made, names=None)),
    ("save_to_disk", "label -1"): partial(to_disk, data=missing),
    ("save_to_disk", "train_test_split"): partial(
        to_disk, data=lambda: made(16).train_test_split(0.25, seed=1)
    ),
    ("save_to_disk", "class labels of other names a split"): partial(
        to_disk, data=lambda: DatasetDict(differing())
    ),
    ("save_to_disk", "one .arrow file"): arrow_cache,
    ("to_parquet", "class labels"): partial(parquet, data=made),
    ("to_parquet", "labels as text"): partial(parquet, data=partial(made, names=None)),
    ("to_parquet", "label -1"): partial(parquet, data=missing),
    ("to_parquet", "several labels"): partial(
        parquet, data=several, options={"label": None}, excused="label"
    ),
    ("to_parquet", "fine_label and coarse_label, ?label=fine_label"): fine,
    ("to_parquet", "column 'labels'"): partial(
        parquet, data=partial(made, label="labels"), options={"label": "labels"}
    ),
    ("to_parquet", "paths without bytes"): paths_only,
    ("data/SPLIT-00000-of-00001.parquet", "train, test"): partial(
        hub_folder, splits={"train": made(8), "test": made(4, first=40)}
    ),
    ("data/SPLIT-00000-of-00001.parquet", "train, validation, test"): partial(
        hub_folder, splits={"train": made(8), "validation": made(4, first=40), "test": made(4, first=60)}
    ),
    ("data/SPLIT-00000-of-00001.parquet", "class labels of other names a split"): lambda folder: (
        differing_parquet(folder)
    ),
    ("data/SPLIT-00000-of-00002.parquet", "two shards"): partial(
        hub_folder, splits={"train": made(8), "test": made(4, first=40)}, shards=2
    ),
    ("imagefolder", "train/ and test/"): imagefolder,
    ("imagefolder", "no splits"): partial(imagefolder, splits=False),
    ("imagefolder", "metadata.csv with label"): partial(with_metadata, form="csv", column="label"),
    ("imagefolder", "metadata.csv with label, the file"): partial(
        with_metadata, form="csv", column="label", spec="{folder}/data/metadata.csv"
    ),
    ("imagefolder", "metadata.jsonl with label"): partial(with_metadata, form="jsonl", column="label"),
    ("imagefolder", "metadata.jsonl with label, the file"): partial(
        with_metadata, form="jsonl", column="label", spec="{folder}/data/metadata.jsonl"
    ),
    ("imagefolder", "metadata.parquet with label, the file"): partial(
        with_metadata, form="parquet", column="label", spec="{folder}/data/metadata.parquet"
    ),
    ("imagefolder", "metadata.csv with text"): partial(with_metadata, form="csv", column="text"),
    ("imagefolder", "metadata.jsonl with text, train/ and test/"): partial(
        with_metadata, form="jsonl", column="text", splits=True
    ),
    **{
        ("imagefolder", f"metadata.jsonl, {option}"): partial(rows_of, files=files, tables=tables)
        for option, (files, tables) in METADATA.items()
    },
    ("to_csv", "image, label"): to_csv,
    ("to_json", "image, label"): partial(to_csv, form="json"),
    ("to_parquet", "image as a path, label as text"): partial(to_csv, form="parquet"),
    ("webdataset", "tar of png and cls"): tars,
    ("to_csv", "captions"): partial(captions, form="csv"),
    ("to_csv", "captions, lists"): partial(captions, form="csv", lists=True),
    ("to_json", "captions"): partial(captions, form="jsonl"),
    ("to_json", "captions, lists"): partial(captions, form="jsonl", lists=True),
    ("to_parquet", "captions"): partial(captions, form="parquet"),
    ("to_parquet", "captions, lists"): partial(captions, form="parquet", lists=True),
    ("to_csv", "captions, column sentence"): partial(captions, form="csv", column="sentence"),
}


def differing_parquet(folder: Path) -> WrittenData:
    """Each split is loaded for itself, since the library refuses features that differ."""
    (folder / "data" / "data").mkdir(parents=True)
    pictures = []
    for split, data in differing().items():
        file = folder / "data" / "data" / f"{split}-00000-of-00001.parquet"
        data.to_parquet(file)
        held = datasets.load_dataset(
            "parquet", data_files=str(file), split="train", cache_dir=str(folder / "cache")
        )
        pictures += loaded(held, split)
    return WrittenData(spec="{folder}/data", pictures=pictures)

"""Tables of images that pandas writes, as it reads them."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb, save_all
from tests.crossed.tables_kit import Columns, Save, case


def back(frame: pd.DataFrame) -> Columns:
    return {str(name): [None if pd.isna(one) else one for one in frame[name]] for name in frame.columns}


def csv(**how: Any) -> Save:
    """`to_csv` with options; read again with the same separator."""

    def save(columns: Columns, path: Path) -> Columns:
        frame = pd.DataFrame(columns)
        frame.to_csv(path, **{"index": False, **how})
        read = {name: how[name] for name in ("sep", "encoding") if name in how}
        header = None if how.get("header") is False else 0
        found = pd.read_csv(path, header=header, dtype=str, **read)
        if header is None:
            found.columns = frame.columns
        return back(found)

    return save


def parquet(category: str = "", index: str = "", dtype: str = "") -> Save:
    def save(columns: Columns, path: Path) -> Columns:
        frame = pd.DataFrame(columns)
        if category:
            frame[category] = frame[category].astype("category")
        if dtype:
            frame["label"] = frame["label"].astype(dtype)
        if index:
            frame = frame.set_index(index)
        frame.to_parquet(path)
        found = pd.read_parquet(path)
        return back(found.reset_index() if index else found)

    return save


def json(orient: str, lines: bool = False) -> Save:
    def save(columns: Columns, path: Path) -> Columns:
        pd.DataFrame(columns).to_json(path, orient=orient, lines=lines)
        return back(pd.read_json(path, orient=orient, lines=lines))

    return save


def one_hot(columns: Columns, path: Path) -> Columns:
    """As ISIC's and Roboflow's tables of classes: a column a class."""
    frame = pd.DataFrame(columns)
    pd.concat([frame[["path"]], pd.get_dummies(frame["label"], dtype=float)], axis=1).to_csv(
        path, index=False
    )
    found = pd.read_csv(path)
    names = found.columns[1:]
    return {"path": list(found["path"]), "label": list(names[found[names].to_numpy().argmax(1)])}


def pictures_in_parquet(folder: Path, category: bool) -> WrittenData:
    """Bytes of pictures beside a label."""
    held, names = [], ("cat", "dog", "hot dog")
    for number in range(9):
        file = io.BytesIO()
        drawn(number).save(file, "PNG")
        held.append(
            {"image": {"bytes": file.getvalue(), "path": f"{number}.png"}, "label": names[number % 3]}
        )
    frame = pd.DataFrame(held)
    if category:
        frame["label"] = frame["label"].astype("category")
    frame.to_parquet(folder / "data.parquet")
    found = pd.read_parquet(folder / "data.parquet")
    pictures = [Picture(rgb(drawn(number)), str(label)) for number, label in enumerate(found["label"])]
    return WrittenData(spec="{folder}/data.parquet", pictures=pictures)


def taxonomy(columns: Columns, path: Path) -> Columns:
    """As iNaturalist's and iWildCam's: ranks, of which `class` is one."""
    n = len(columns["path"])
    ranks = {"kingdom": ["Animalia"] * n, "class": ["Aves"] * n}
    return csv()({"path": columns["path"]} | ranks | {"species": columns["species"]}, path)


def patients(columns: Columns, path: Path) -> Columns:
    return csv()(columns | {"patient_id": [f"p{number // 2}" for number in range(9)]}, path)


def grouped(
    folder: Path, image: str, label: str, group: str, more: str = "", value: str = "{}"
) -> WrittenData:
    """A table of 30 pictures of 10 patients or lesions, as pandas groups them, without a split."""
    root = folder / "data"
    places = [root / "images" / f"ISIC_{number:07d}.png" for number in range(30)]
    save_all(places)
    lesions = [value.format(number // 3 if number < 24 else number % 2 + 8) for number in range(30)]
    classes = [("nv", "mel")[number // 3 % 2] for number in range(30)]
    names = [place.stem if image == "image_id" else place.name for place in places]
    frame = pd.DataFrame({group: lesions, image: names, label: classes, "age": range(30)})
    frame.to_csv(root / "metadata.csv", index=False)
    found = pd.read_csv(root / "metadata.csv", dtype=str)
    held = {row: name for name, rows in found.groupby(group).groups.items() for row in rows}
    pictures = [
        Picture(rgb(place), found[label][row], "", place.name, group=str(held[row]))
        for row, place in enumerate(places)
    ]
    return WrittenData(
        spec=f"{{folder}}/data/metadata.csv?root={{folder}}/data/images{more}", pictures=pictures
    )


CASES = {
    ("groupby", "HAM10000: lesion_id, image_id, dx"): partial(
        grouped, image="image_id", label="dx", group="lesion_id", more="&label=dx", value="HAM_{:07d}"
    ),
    ("groupby", "patient_id, whole numbers"): partial(
        grouped, image="path", label="label", group="patient_id", value="{}"
    ),
    ("groupby", "patient_id 01, 1"): partial(
        grouped, image="path", label="label", group="patient_id", value="{:02d}"
    ),
    ("groupby", "seq_id, as iWildCam"): partial(
        grouped, image="filename", label="label", group="seq_id", value="6f0{}-11ea"
    ),
    ("groupby", "another column, ?group=ward"): partial(
        grouped, image="path", label="label", group="ward", more="&group=ward", value="w{}"
    ),
    ("to_csv", "path, label"): partial(case, save=csv()),
    ("to_csv", "path, label, split"): partial(case, save=csv(), reads=("path", "label", "split")),
    ("to_csv", "with its index"): partial(case, save=csv(index=True)),
    ("to_csv", "sep=';'"): partial(case, save=csv(sep=";")),
    ("to_csv", "sep=tab, .tsv"): partial(case, save=csv(sep="\t"), file="list.tsv"),
    ("to_csv", "sep=tab, .csv"): partial(case, save=csv(sep="\t")),
    ("to_csv", "sep='|'"): partial(case, save=csv(sep="|"), then="list.csv?sep=|"),
    ("to_csv", "quoting=1"): partial(case, save=csv(quoting=1)),
    ("to_csv", "utf-8-sig"): partial(case, save=csv(encoding="utf-8-sig")),
    ("to_csv", "utf-16"): partial(case, save=csv(encoding="utf-16"), plain=csv()),
    ("to_csv", "header=False"): partial(case, save=csv(header=False), then="list.csv?header=no"),
    ("to_csv", "filename, class"): partial(case, save=csv(), reads=("filename", "class", "")),
    ("to_csv", "image_id without endings, dx"): partial(
        case, save=csv(), reads=("image_id", "dx", ""), stems=True, then="list.csv?label=dx"
    ),
    ("to_csv", "img_path, target"): partial(
        case, save=csv(), reads=("img_path", "target", ""), then="list.csv?path=img_path&label=target"
    ),
    ("to_csv", "?path= and ?label="): partial(
        case, save=csv(), reads=("im", "what", ""), more="?path=im&label=what"
    ),
    ("to_csv", "is_valid"): partial(
        case,
        save=csv(),
        reads=("name", "label", "is_valid"),
        names=("False", "True"),
        then="list.csv?split=is_valid",
    ),
    ("to_csv", "split 0, 1"): partial(
        case, save=csv(), reads=("path", "label", "split"), names=("0", "1"), then="list.csv?split=split"
    ),
    ("to_csv", "subset"): partial(case, save=csv(), reads=("path", "label", "subset"), excused="subset"),
    ("to_csv", "partition train, test"): partial(
        case, save=csv(), reads=("path", "label", "partition"), names=("train", "test"), excused="partition"
    ),
    ("to_csv", "phase Train, Valid"): partial(
        case, save=csv(), reads=("path", "label", "phase"), names=("Train", "Valid"), excused="phase"
    ),
    ("to_csv", "absolute paths"): partial(case, save=csv(), absolute=True),
    ("to_csv", "paths below images/"): partial(case, save=csv(), below="images"),
    ("to_csv", "numbers as labels, one missing"): partial(
        case, save=csv(), values=(0, 1, None), excused="are read as"
    ),
    ("to_csv", "labels 01, 1"): partial(case, save=csv(), values=("01", "1", "2")),
    ("to_csv", "class of a taxonomy, ?label=species"): partial(
        case, save=taxonomy, reads=("path", "species", ""), more="?label=species"
    ),
    ("to_csv", "class of a taxonomy and species"): partial(
        case, save=taxonomy, reads=("path", "species", ""), then="list.csv?label=species"
    ),
    ("to_csv", "one-hot"): partial(case, save=one_hot),
    ("to_csv", ".csv.gz"): partial(case, save=csv(), file="list.csv.gz", plain=csv()),
    ("to_parquet", "path, label"): partial(case, save=parquet(), file="list.parquet"),
    ("to_parquet", "path, label, split"): partial(
        case, save=parquet(), file="list.parquet", reads=("path", "label", "split")
    ),
    ("to_parquet", "a categorical label"): partial(case, save=parquet(category="label"), file="list.parquet"),
    ("to_parquet", "the path as index"): partial(case, save=parquet(index="path"), file="list.parquet"),
    ("to_parquet", "whole numbers with one missing"): partial(
        case, save=parquet(dtype="Int64"), file="list.parquet", values=(0, 1, None)
    ),
    ("to_parquet", "bytes of pictures"): partial(pictures_in_parquet, category=False),
    ("to_parquet", "bytes of pictures, a categorical label"): partial(pictures_in_parquet, category=True),
    ("to_json", "orient=records"): partial(case, save=json("records"), file="list.json"),
    ("to_json", "orient=records, lines=True"): partial(case, save=json("records", True), file="list.jsonl"),
    ("to_json", "orient=columns"): partial(case, save=json("columns"), file="list.json", plain=csv()),
}
CASES[("to_csv", "groups beside")] = partial(case, save=patients, more="?group=patient_id")

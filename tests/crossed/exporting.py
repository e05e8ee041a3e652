"""Write a study for other tools, let each read it in its own environment, and compare with the study."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.common.csv_text import harmless
from core.errors import PeregrineError
from core.publish.known_images import hot_region
from core.publish.label_forms import export_labels
from core.publish.label_links import class_folders
from core.publish.tool_exports import export_to_tool
from core.store import Study, open_study
from core.study.label_decisions import corrected_labels, decisions
from tests.crossed.environments import BUILD, ROOT, Tool
from tests.crossed.reading_back import ReadImage, stored
from tests.crossed.table import RIGHT, WRONG, Row
from tests.publish.handed_on import Expected, differences, expected_images, make_handed_on

STUDY = BUILD / "study"
Compare = Callable[[Study, list[ReadImage]], str]


@dataclass(frozen=True)
class Export:
    """How a study is written into a folder, and what a reading has otherwise: "" for nothing."""

    written_by: str
    write: Callable[[Study, Path], object]
    compare: Compare


def of_tool(tool: str, *, regions: bool = False) -> Export:
    """Everything that is known of each image. regions: for heat, and no vectors."""

    def compare(study: Study, read: list[ReadImage]) -> str:
        expected = expected_images(study)
        for one in expected.values() if regions else ():
            one.arrays = {name: values for name, values in one.arrays.items() if name != "embedding"}
            one.arrays["heatmap"] = hot_region(one.arrays["heatmap"])
            one.arrays = {name: values for name, values in one.arrays.items() if values.any()}
        found = {one.file: Expected(one.fields, set(one.tags), one.arrays) for one in read}
        return differences(expected, found)

    return Export(f"export STUDY {tool}", lambda study, out: export_to_tool(study, tool, out), compare)


def of_labels(
    form: str,
    file: str,
    *,
    shown: Callable[[str], str] = str,
    left_out: bool = False,
    doubtful_open: bool = False,
) -> Export:
    """Corrected labels in a form. shown: what a label becomes there. left_out: images without one are.
    doubtful_open: a doubtful label on which nobody has decided is none."""

    def compare(study: Study, read: list[ReadImage]) -> str:
        labels = corrected_labels(study)
        rows = zip(study.images["image_id"], labels, study.images["split"], strict=True)
        expected = {
            str(name): (None if pd.isna(label) else shown(str(label)), split) for name, label, split in rows
        }
        if left_out:
            expected = {name: pair for name, pair in expected.items() if pair[0] is not None}
        for name in still_open(study) if doubtful_open else ():
            expected[name] = None, expected[name][1]
        found = {one.file: (one.label, one.split) for one in read}
        other = [name for name in {*expected, *found} if expected.get(name) != found.get(name)]
        return "; ".join(f"{name}: {found.get(name)}, not {expected.get(name)}" for name in sorted(other)[:3])

    def write(study: Study, out: Path) -> None:
        out.mkdir()
        export_labels(study, form, out / file)
        (out / "classes.json").write_text(json.dumps(study.class_names))

    return Export("export STUDY labels --corrected", write, compare)


def still_open(study: Study) -> list[str]:
    """The images whose label is listed as doubtful, and on which nobody has decided."""
    table = study.table("label_issues", ["image_id", "listed"])
    listed = table["image_id"][table["listed"].astype(bool)]
    return sorted(set(listed) - set(decisions(study)["image_id"]))


def as_formula(label: str) -> str:
    return str(harmless(label))


def as_folder(label: str) -> str:
    return class_folders([label])[label]


EXPORTS: dict[str, dict[str, Export]] = {  # by reader and its option
    "fiftyone": {"Dataset.from_dir": of_tool("fiftyone"), "merge_dir into a data set": of_tool("fiftyone")},
    "datasets": {
        "load_dataset(FOLDER)": of_tool("datasets"),
        "--as csv, load_dataset csv": of_labels("csv", "labels.csv", shown=as_formula),
        "--as csv, .parquet": of_labels("csv", "labels.parquet"),
        "--as metadata, load_dataset imagefolder": of_labels("metadata", "metadata.csv", shown=as_formula),
    },
    "label_studio_sdk": {
        "tasks.json and labels.xml": of_tool("label-studio", regions=True),
        "--as label-studio": of_labels("label-studio", "tasks.json", doubtful_open=True),
    },
    "datumaro": {"annotations.xml": of_tool("cvat", regions=True)},
    "torchvision_data": {
        "--as imagefolder": of_labels("imagefolder", "links", shown=as_folder, left_out=True)
    },
}


def export_rows(tool: Tool, version: str, word: str = "") -> Iterator[Row]:
    """Write each case of a tool, let it read that, and yield its row."""
    study = the_study()
    for option, export in EXPORTS[tool.writer].items():
        if word in f"{export.written_by} {option}":
            said, verdict = _tried(tool, study, option, export)
            yield Row(tool.distribution, version, export.written_by, option, "", "", verdict, said, tool.kind)


def the_study() -> Study:
    """The study that is handed on; made by the first tool."""
    if not (STUDY / "study").is_dir():
        shutil.rmtree(STUDY, ignore_errors=True)
        STUDY.mkdir(parents=True)
        make_handed_on(STUDY)
    return open_study(STUDY / "study")


def _tried(tool: Tool, study: Study, option: str, export: Export) -> tuple[str, str]:
    """What is wrong, or why nothing was read, and the verdict."""
    folder = tool.files / "exports"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "option").write_text(option, encoding="utf-8")
    (folder / "images").symlink_to(study.path.with_name("study.input") / "images")
    try:
        export.write(study, folder / "out")
    except PeregrineError as error:
        return str(error), WRONG
    words = [str(tool.python), "-m", "tests.crossed.reading_back", tool.writer, str(folder)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        print(ended.stderr, file=sys.stderr)
        return (ended.stderr.strip().splitlines() or ["its reader ended"])[-1][:200], WRONG
    try:
        said = export.compare(study, stored(folder))
    except Exception as error:
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
    return said[:300], WRONG if said else RIGHT

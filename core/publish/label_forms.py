"""Labels in the forms that other tools read: lists, a folder of links, tasks of Label Studio."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from core.charts.table_file import complete_file, provenance
from core.common.csv_text import csv_text, harmless
from core.common.dataframes import words
from core.common.formatting import counted
from core.common.inside import check_output_file
from core.errors import SettingsError, StudyError, unknown_name
from core.measures.slice import Slice
from core.publish.export_files import (
    EXTENSIONS,
    LABEL_COLUMNS,
    WRITERS,
    labels_table,
    without_image_folder,
    write_about,
)
from core.publish.label_links import write_links
from core.store import Study
from core.study.label_decisions import LEFT, decision_on, decisions
from core.study.traces import ImageTrace, read_traces

# The labels of a study as tasks of Label Studio, for its template of image classes.


ISSUES = "label_issues"
LOCAL_FILES = "/data/local-files/?d="  # how Label Studio names a file of its machine
CONTROL = {"from_name": "choice", "to_name": "image", "type": "choices"}
SUGGESTED_BY = "peregrine-crossfit"
Task = dict[str, Any]


def label_tasks(study: Study, frame: pd.DataFrame, rows: np.ndarray) -> list[Task]:
    """Return labels of a study's images for export, as tasks of Label Studio, one an image.

    A label that may be wrong, on which nobody has decided, becomes a prediction: the suggestion with its
    confidence. Every other label, as corrected, is an annotation; one that is wrong without a better one is
    neither.

    Args:
        frame: image_id, path, corrected label and split of the images. rows: of the images in the study.
    """
    suggestions, left = _suggestions(study), read_traces(study.path).images
    images = study.images.iloc[rows]
    tasks = []
    for at, (image_id, label) in enumerate(zip(images["image_id"], images["label"], strict=True)):
        before, row = "" if pd.isna(label) else str(label), frame.iloc[at]
        data = {"image_id": row["image_id"], "split": row["split"], "label": before}
        task: Task = {"data": {"image": served_file(str(row["path"])), **data}}
        is_open = not decision_on(left.get(image_id, ImageTrace()), before)
        if is_open and image_id in suggestions:
            suggested, confidence = suggestions[image_id]
            result = [choice(suggested)]
            task["predictions"] = [{"model_version": SUGGESTED_BY, "score": confidence, "result": result}]
        elif not pd.isna(row["label"]):
            task["annotations"] = [{"result": [choice(str(row["label"]))]}]
        tasks.append(task)
    return tasks


def _suggestions(study: Study) -> dict[str, tuple[str, float]]:
    """Return the suggestion and its confidence for each image whose label may be wrong."""
    if not study.has(ISSUES):
        return {}
    table = study.table(ISSUES, ["image_id", "suggested", "confidence", "listed"])
    table = table.loc[table["listed"].astype(bool)]
    pairs = zip(table["suggested"].astype(str), table["confidence"].astype(float), strict=True)
    return dict(zip(table["image_id"], pairs, strict=True))


def served_file(path: str) -> str:
    """Return how an exported task names a file of Label Studio's machine, below the folder it serves."""
    return LOCAL_FILES + quote(path)


def choice(name: str) -> dict[str, Any]:
    """Return the result of an exported task of Label Studio that chooses a class."""
    return {**CONTROL, "value": {"choices": [name]}}


# Labels in the forms that other tools read: lists, a folder of links, tasks of Label Studio.


IN_THE_FOLDER = "put it into the folder of the images, load_dataset('imagefolder', data_files='FOLDER/**')"
Content = Callable[[Study, pd.DataFrame, np.ndarray], Any]


@dataclass(frozen=True)
class LabelForm:
    """A form of labels.

    Attributes:
        title: in a menu. about: what reads it.
        content: makes it of a study, of the image_id, path, label and split of some images as they are handed
            on, and of their rows; None: a folder of links.
        endings: those of its file. notes: on how it is read.
    """

    title: str
    about: str
    content: Content | None
    endings: Sequence[str] = EXTENSIONS
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WrittenLabels:
    """How many rows, tasks or links were written, and what should be known of them."""

    n: int
    notes: tuple[str, ...] = ()


def _list(study: Study, frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    return frame.loc[:, list(LABEL_COLUMNS)]


def _metadata(study: Study, frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    return frame.loc[:, list(LABEL_COLUMNS)].rename(columns={"path": "file_name"})


def _changes(study: Study, frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The images whose label people changed or doubt: image_id, path, label, corrected_label, by_decision."""
    table = decisions(study)
    here = table["image_id"].isin(study.images["image_id"].iloc[rows])
    changed = table.loc[here & (table["by_decision"] != LEFT)].reset_index(drop=True)
    return without_image_folder(study, "labels", changed)


USUAL_FORM = "csv"
_LIST = LabelForm(
    "List: path, label, split",
    "For New study and Hugging Face's csv reader. Paths begin in the folder of the images.",
    _list,
)
_FOLDER_METADATA = LabelForm(
    "metadata.csv",
    f"For Hugging Face's imagefolder: {IN_THE_FOLDER}.",
    _metadata,
    (".csv",),
    (IN_THE_FOLDER,),
)
_CHANGES_ONLY = LabelForm("Changes only", "A row an image whose label was changed or is doubted.", _changes)
_TASKS = LabelForm(
    "Label Studio tasks", "Suggestions are predictions, labels are annotations.", label_tasks, (".json",)
)
_LINKS = LabelForm("Folder of links", "SPLIT/CLASS/IMAGE, as torchvision's ImageFolder reads.", None, ())
LABEL_FORMS = {
    USUAL_FORM: _LIST,
    "metadata": _FOLDER_METADATA,
    "changes": _CHANGES_ONLY,
    "label-studio": _TASKS,
    "imagefolder": _LINKS,
}


def export_labels(
    study: Study, form: str, out: str | Path, *, corrected: bool = True, among: Slice | None = None
) -> WrittenLabels:
    """Write the labels of a study's images; the file or folder appears only when complete.

    Args:
        form: one of `LABEL_FORMS`. corrected: with what people decided (`core.study.label_decisions`): empty
            where a label is wrong without a better one. among: only these images.
    Raises:
        SettingsError: unknown form, wrong ending, or a folder that holds something.
        StudyError: the images have no labels or, for links, are no files of this machine.
    """
    one, out = _form(study, form), Path(out)
    if one.content is not None:
        check_output_file(out, f"labels as {form}", one.endings)
    frame, rows = _frame(study, corrected, among)
    if one.content is None:
        links = write_links(study, frame, rows, out)
        return WrittenLabels(links.n, (*_without_label(words(frame, "label")), *links.notes))
    content = one.content(study, frame, rows)
    with complete_file(out) as temporary:
        if isinstance(content, pd.DataFrame):
            WRITERS[out.suffix.lower()](content, temporary)
        else:
            temporary.write_text(_json_text(content), encoding="utf-8")
    write_about(out, provenance(study, among))
    return WrittenLabels(len(content), (*one.notes, *_notes(content, out.suffix.lower())))


def form_content(study: Study, form: str, *, among: Slice | None = None) -> bytes:
    """Return the file of exported labels in a form, .csv or .json; raises as `export_labels`."""
    content = _form(study, form).content
    if content is None:
        raise SettingsError(f"{form} is a folder; export it in a terminal")
    made = content(study, *_frame(study, True, among))
    return (csv_text(made) if isinstance(made, pd.DataFrame) else _json_text(made)).encode()


def _form(study: Study, form: str) -> LabelForm:
    if form not in LABEL_FORMS:
        raise SettingsError(unknown_name(f"no form '{form}' of labels", form, LABEL_FORMS, "Forms"))
    if not study.labelled:
        raise StudyError(f"no labels in '{study.path}': its images have none")
    return LABEL_FORMS[form]


def _frame(study: Study, corrected: bool, among: Slice | None) -> tuple[pd.DataFrame, np.ndarray]:
    rows = np.flatnonzero(among.mask(study)) if among else np.arange(study.n_images)
    return label_frame(study, rows, corrected=corrected), rows


def label_frame(study: Study, rows: np.ndarray, *, corrected: bool = True) -> pd.DataFrame:
    """Return image_id, path, label and split of some images of a study, as they are handed on."""
    frame = without_image_folder(study, "labels", labels_table(study, corrected=corrected))
    return frame.iloc[rows].reset_index(drop=True)


def _notes(content: Any, ending: str) -> tuple[str, ...]:
    if not isinstance(content, pd.DataFrame):
        return ()
    labels = words(content, "corrected_label" if "corrected_label" in content else "label")
    n = int(content.map(lambda cell: harmless(cell) != cell and not pd.isna(cell)).to_numpy().sum())
    formula = "would be a formula and got an apostrophe; .parquet holds them as they are"
    return (*_without_label(labels), *([f"{counted(n, 'text')} {formula}"] if ending == ".csv" and n else []))


def _without_label(labels: Sequence[str]) -> tuple[str, ...]:
    n = sum(not label for label in labels)
    return (f"{counted(n, 'image')} without a label: it has none, or a wrong one and no better",) if n else ()


def _json_text(content: Any) -> str:
    return f"{json.dumps(content, ensure_ascii=False, indent=1)}\n"

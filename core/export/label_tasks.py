"""The labels of a study as tasks of Label Studio, for its template of image classes."""

from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from core.store import Study
from core.traces.labels import decision_on
from core.traces.traces import ImageTrace, read_traces

ISSUES = "label_issues"
LOCAL_FILES = "/data/local-files/?d="  # how Label Studio names a file of its machine
CONTROL = {"from_name": "choice", "to_name": "image", "type": "choices"}
SUGGESTED_BY = "peregrine-crossfit"
Task = dict[str, Any]


def label_tasks(study: Study, frame: pd.DataFrame, rows: np.ndarray) -> list[Task]:
    """Return a task an image.

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
    """Return how a task names a file of Label Studio's machine, below the folder that it serves."""
    return LOCAL_FILES + quote(path)


def choice(name: str) -> dict[str, Any]:
    """Return the result that chooses a class."""
    return {**CONTROL, "value": {"choices": [name]}}

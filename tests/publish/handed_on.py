"""A study of which all is known that other tools take, and what each of its images must become there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import Study, open_study
from core.study import label_decisions, trace_changes
from core.study.heatmaps import place_on_image
from core.study.traces import UNSURE
from core.study.writer import write_study
from tests.synthetic import make_seen_study

SLICE = "hard ones"
NAMES = ("ant", "bee", "=cat & <dog>", "n01440764")  # a formula, signs of XML, a WordNet id

SHOWN = {NAMES[3]: "tench"}  # what pages call it


@dataclass
class Expected:
    """What a tool must say of an image. fields: by name without prefix; an undefined one is missing."""

    fields: dict[str, Any] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def make_handed_on(folder: Path) -> Study:
    """Make the study with decisions on labels, a note, a tag, a slice and a copy of a picture."""
    path = make_seen_study(folder / "study", n_train=40, n_val=24, class_names=NAMES)
    study = open_study(path)
    first, second, third = study.images["image_id"].iloc[[0, 1, 2]]
    label_decisions.decide_label(study, first, NAMES[1])
    label_decisions.decide_label(study, second, UNSURE)
    trace_changes.set_tags(study, third, ["to look at"])
    trace_changes.set_note(study, third, 'a "quoted" note & <more>')
    saved_slices.save(study.path, SLICE, Slice.parse("split=val correct=false"))
    write_causes(study)
    return open_study(path)


def write_causes(study: Study) -> None:
    """Plant two causes of the first error, the second one first, one trial of it that does not hold, and
    an error without a cause."""
    images = study.images
    wrong = images["image_id"][
        study.column("probe", "correct").eq(False).fillna(False).to_numpy(bool)
    ].tolist()
    rows = [
        (wrong[0], "feature", 2, "holds", True, "crop"),
        (wrong[0], "crop", 1, "holds", True, "crop"),
        (wrong[0], "turn", 3, "no", False, "crop"),
        (wrong[1], "crop", 1, "no", False, "unexplained"),
    ]
    table = pd.DataFrame(rows, columns=["image_id", "cause", "rank", "outcome", "holds", "why"])
    with write_study(study.path) as writer, writer.step("causes", {}, ("images",)) as step:
        step.table("causes", table)
        step.summary = {"answer": "probe"}


def expected_images(study: Study) -> dict[str, Expected]:
    """What is known of each image, read of the study's own tables, by its id (its path)."""
    images = study.images
    table = images.set_index("image_id").join(_answers(study))
    if study.has("label_issues"):
        table = table.join(_issues(study))
    decided = label_decisions.decisions(study).set_index("image_id")[["corrected_label", "by_decision"]]
    table = table.join(decided)
    raw = np.asarray(study.array("representations")[:])
    hard = set(images["image_id"][Slice.parse("split=val correct=false").mask(study)])
    causes = study.table("causes") if study.has("causes") else None
    repeats = study.table("pictures").set_index("image_id") if study.has("pictures") else None
    made = {}
    for row, (image_id, values) in enumerate(table.iterrows()):
        one = Expected({"image_id": str(image_id)}, set(), {"embedding": raw[row]})
        one.fields |= {
            str(name): value for name, value in values.items() if name != "path" and _is_there(value)
        }
        shown = {f"{name}_name": one.fields.get(name) for name in ("label", "predicted")}
        one.fields |= {name: SHOWN.get(text, text) for name, text in shown.items() if text}
        if causes is not None:
            _add_causes(one, causes.loc[causes["image_id"] == image_id])
        if repeats is not None:
            _add_repeats(one, repeats.loc[image_id])
        if image_id in hard:
            one.fields["slices"] = [SLICE]
            one.tags.add(f"slice_{SLICE}")
        if row == 2:
            one.fields["note"] = 'a "quoted" note & <more>'
            one.tags.add("tag_to look at")
        if "correct" in one.fields and not one.fields["correct"]:
            one.tags.add("misclassified")
        if one.fields.get("label_doubtful") and "by_decision" not in one.fields:
            one.tags.add("label_doubtful")
        one.arrays |= expected_maps(study, row)
        made[str(image_id)] = one
    return made


def _answers(study: Study) -> pd.DataFrame:
    probe = study.table("probe").set_index("image_id")[["predicted", "confidence", "correct"]]
    return probe.join(study.table("quality").set_index("image_id")["q_score"])


def _issues(study: Study) -> pd.DataFrame:
    table = study.table("label_issues")
    names = {"suggested": "suggested", "suggested_confidence": "confidence", "label_margin": "margin"}
    names |= {"label_rank": "rank", "label_doubtful": "listed"}
    return pd.DataFrame(
        {name: table[column].to_numpy() for name, column in names.items()}, pd.Index(table["image_id"])
    )


def _is_there(value: Any) -> bool:
    return not pd.isna(value) and value != ""


def _add_causes(one: Expected, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    one.fields["cause"] = rows["why"].iloc[0]
    holding = rows.loc[rows["holds"].astype(bool)].sort_values("rank")["cause"].tolist()
    if holding:
        one.fields["causes"] = holding
        one.tags |= {f"cause_{cause}" for cause in holding}


def _add_repeats(one: Expected, row: pd.Series) -> None:
    for name in ("duplicate", "near_duplicate"):
        if _is_there(row[f"{name}_of"]):
            one.fields[f"{name}_of"] = row[f"{name}_of"]
            one.tags.add(name)


def expected_maps(study: Study, row: int) -> dict[str, np.ndarray]:
    """Heatmap and masks on the whole picture, (H, W) uint8."""
    width, height = study.image(row).size
    box = study.transform.box(width, height)

    def placed(frame: np.ndarray) -> np.ndarray:
        return np.nan_to_num(place_on_image(frame, box, width, height))

    arrays = {"heatmap": np.round(placed(study.heatmap(row)) * 255).astype(np.uint8)}
    have = set(
        study.masks.table.loc[study.masks.table["image_id"] == study.images["image_id"].iat[row], "mask"]
    )
    arrays |= {kind: np.uint8(placed(study.mask(row, kind)) >= 0.5) * 255 for kind in have}
    return arrays


def differences(
    expected: dict[str, Expected], read: dict[str, Expected], *, without: tuple[str, ...] = ()
) -> str:
    """Say what a reading has otherwise; "" for nothing.

    Args:
        without: names of fields and arrays that the tool has no place for; "tags" for these.
    """
    if set(expected) != set(read):
        return f"images: {sorted(set(expected) ^ set(read))[:4]}"
    found = []
    for path, one in expected.items():
        other = read[path]
        fields = {name: value for name, value in one.fields.items() if name not in without}
        if set(fields) != set(other.fields):
            found.append(f"{path}: fields {sorted(set(fields) ^ set(other.fields))}")
            continue
        found += [
            f"{path}: {name} {other.fields[name]!r}, not {value!r}"
            for name, value in fields.items()
            if not same(value, other.fields[name])
        ]
        if "tags" not in without and one.tags != other.tags:
            found.append(f"{path}: tags {sorted(one.tags ^ other.tags)}")
        arrays = {name: value for name, value in one.arrays.items() if name not in without}
        if set(arrays) != set(other.arrays):
            found.append(f"{path}: arrays {sorted(set(arrays) ^ set(other.arrays))}")
            continue
        found += [
            f"{path}: {name} differs"
            for name, value in arrays.items()
            if value.shape != other.arrays[name].shape or not np.array_equal(value, other.arrays[name])
        ]
    return "; ".join(found[:3])


def same(value: Any, other: Any) -> bool:
    if isinstance(value, list):
        return list(other) == value
    if isinstance(value, str):
        return other == value
    return abs(float(value) - float(other)) <= 1e-9

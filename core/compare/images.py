"""The images that several studies share, and which became right or wrong from one to another. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from core.common.dataframes import evenly, numbers
from core.common.formatting import counted
from core.common.records import Record, Templates
from core.errors import PeregrineError, SettingsError, StudyError
from core.measures.design_effect import groups_among
from core.measures.evaluate import result_column
from core.measures.slice import Slice
from core.store import Study

# Find the images that several studies share, and their rows in each study. No torch.


_say = Templates.beside(__file__)
SAMPLED = 8  # thumbnails of shared images that are compared
SIDE = 16  # pixels; size at which they are compared
OTHER_PICTURE = 24.0  # mean grey levels (of 255); pictures that differ by more are different


@dataclass(frozen=True)
class Shared:
    """Images that all studies hold.

    Attributes:
        studies, names: the other studies are compared with the first one.
        rows: (n_studies, n_shared) int64, rows of each study, in the order of the first study's images.
        judged: (n_shared,) bool: evaluation images of every study (all images if no study has such a split),
            without those that only some of the studies know to be right or wrong, and without those of
            another label in some study: right and wrong go by the same labels in all of them.
        other_label: (n_shared,) bool: those that are left out of `judged` for their other label alone.
        notes: sentences that a reader should know.
    """

    studies: tuple[Study, ...]
    names: list[str]
    rows: np.ndarray
    judged: np.ndarray
    other_label: np.ndarray
    notes: list[str]

    @property
    def n_images(self) -> int:
        return self.rows.shape[1]

    @property
    def held_out(self) -> bool:
        """Whether `judged` are evaluation images beside train images; else they are images of any split.

        An answer out of fold evaluates every image.
        """
        return any(0 < int(study.is_val.sum()) < len(study.is_val) for study in self.studies)

    @property
    def image_ids(self) -> np.ndarray:
        """(n_shared,) object."""
        return self.studies[0].column("images", "image_id").to_numpy(object)[self.rows[0]]

    @property
    def labels(self) -> np.ndarray:
        """(n_shared,) object, the first study's; missing ones are None or NA."""
        return self.studies[0].column("images", "label").to_numpy(object)[self.rows[0]]

    @property
    def groups(self) -> np.ndarray | None:
        """(n_shared,) int32, the first study's patients, lesions or sequences; None without."""
        return groups_among(self.studies[0].groups, self.rows[0])

    def narrowed(self, among: Slice) -> "Shared":
        """Keep the images that are in a slice of the first study.

        Raises:
            SliceError: the first study lacks something that the slice names. StudyError: no image is in it.
        """
        if not among:
            return self
        fits = among.mask(self.studies[0])[self.rows[0]]
        if not fits.any():
            raise StudyError(f"none of the {self.n_images:,} images shared by the studies is in '{among}'")
        rows, judged, other_label = self.rows[:, fits], self.judged[fits], self.other_label[fits]
        return replace(self, rows=rows, judged=judged, other_label=other_label)


def study_names(studies: Sequence[Study]) -> list[str]:
    """Name each compared study by its folder; equal names are numbered."""
    plain = [study.name for study in studies]
    names = []
    for at, name in enumerate(plain):
        number = plain[: at + 1].count(name)
        names.append(f"{name} ({number})" if plain.count(name) > 1 else name)
    return names


def shared_images(studies: Sequence[Study]) -> Shared:
    """Find the images that all compared studies hold.

    Raises:
        SettingsError: fewer than two studies, or one of them twice. StudyError: they share no image, or
            images of the same name show different pictures.
    """
    _check_distinct(studies)
    first = pd.Index(studies[0].column("images", "image_id"))
    places = np.stack([study.image_index().get_indexer(first) for study in studies])
    rows = places[:, (places >= 0).all(0)]
    if not rows.shape[1]:
        raise StudyError(_nothing_shared(studies))
    for study, other in zip(studies[1:], rows[1:], strict=True):
        _check_same_pictures(studies[0], study, rows[0], other)
    judged, notes = judged_images(studies, rows)
    judged, more = with_known_outcomes(studies, rows, judged)
    one_label, of_labels = with_one_label(studies, rows, judged)
    notes = [*partly_shared(studies, rows), *notes, *more, *of_labels, *without_label(studies, rows)]
    other_label = judged & ~one_label
    return Shared(tuple(studies), study_names(studies), rows, one_label, other_label, notes)


def left_out(n: int) -> Record | Literal[""]:
    """Say, beside a number of compared images, that n are left out for their labels; "" for none."""
    return _say("left_out", n=n) if n else ""


def _check_distinct(studies: Sequence[Study]) -> None:
    """Raise SettingsError where fewer than two different studies are to be compared."""
    paths = [study.path.resolve() for study in studies]
    if len(paths) < 2:
        raise SettingsError("there is only one study; name two or more to compare")
    for at, path in enumerate(paths):
        if path in paths[:at]:
            raise SettingsError(f"'{studies[at].path}' is named twice; name different studies")


def _nothing_shared(studies: Sequence[Study]) -> str:
    """Say why compared studies share no images: the images of each, or names that never agree."""
    made_of = [str(study.settings("embed").get("images") or "a table") for study in studies]
    pairs = zip(studies, made_of, strict=True)
    return _say("none_shared", parts=tuple(_described(study, images) for study, images in pairs))


def _described(study: Study, images: str) -> Record:
    """Name a study with the number of its images, what they are made of, and one of their ids."""
    example = str(study.images["image_id"].iat[0])
    return _say("study", what=str(study.path), n=study.n_images, why=images, names=(example,))


def partly_shared(studies: Sequence[Study], rows: np.ndarray) -> list[str]:
    """Return a note if some images are not in all compared studies."""
    sizes = [study.n_images for study in studies]
    if all(size == rows.shape[1] for size in sizes):
        return []
    sizes_text = ", ".join(
        f"{name} has {size:,}" for name, size in zip(study_names(studies), sizes, strict=True)
    )
    n = rows.shape[1]
    shared, these = ("1 image is", "it is") if n == 1 else (f"{n:,} images are", "these are")
    return [f"{shared} in all studies ({sizes_text}); only {these} compared"]


def judged_images(studies: Sequence[Study], rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(n_shared,) bool: evaluation images of compared studies; and a note where they disagree on these.

    A study that evaluates every image, since nothing was fitted to any, agrees with all others.
    """
    val = np.stack([study.is_val[places] for study, places in zip(studies, rows, strict=True)])
    val = val[~val.all(1)]
    if not val.any():
        return np.ones(rows.shape[1], bool), []
    judged = np.asarray(val.all(0))
    odd = int((val.any(0) & ~judged).sum())
    if not odd:
        return judged, []
    return judged, [
        f"{odd:,} images are in the evaluation split of some studies and in the train split of others; they "
        "are left out"
    ]


def with_known_outcomes(
    studies: Sequence[Study], rows: np.ndarray, judged: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Leave out of a comparison images whose outcome some studies know and others do not, and say so.

    Accuracies and what follows from them would be of different images. A study that knows none does not
    count.

    Returns:
        (n_shared,) bool, all of `judged` where no image is known in every study; notes.
    """
    correct = [result_column(study, "correct")[places] for study, places in zip(studies, rows, strict=True)]
    is_judged = np.isfinite(correct) & judged
    is_judged = is_judged[is_judged.any(1)]
    partly = is_judged.any(0) & ~is_judged.all(0)
    n = counted(int(partly.sum()), "image")
    if not partly.any():
        return judged, []
    if not is_judged.all(0).any():
        return judged, [
            "no image is known to be right or wrong in all studies, so accuracies are of different ones"
        ]
    return judged & ~partly, [f"{n} known to be right or wrong in some studies only are left out"]


def with_one_label(
    studies: Sequence[Study], rows: np.ndarray, judged: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Leave out of a comparison images with another label in some study.

    Else a study would seem better or worse by its labels alone, such as those that people corrected. An image
    without a label in a study has no other one.

    Returns:
        (n_shared,) bool, all of `judged` where no image has one label: then the studies have other classes;
        a note where that is so.
    """
    label, *others = _labels(studies, rows)
    differs = np.zeros(len(label), bool)
    for labels in others:
        differs |= (labels != label) & (labels != "") & (label != "")
        label = np.where(label == "", labels, label)
    if (differs & judged).any() and not (judged & ~differs).any():
        return judged, [_say("no_common_label")]
    return judged & ~differs, []


def without_label(studies: Sequence[Study], rows: np.ndarray) -> list[str]:
    """Return a note for each compared study if an image has a class in the first study and none in it, or the
    other way round.
    """
    notes, (first_name, *names) = [], study_names(studies)
    first, *others = _labels(studies, rows)
    for name, labels in zip(names, others, strict=True):
        bare, bare_first = labels == "", first == ""
        for lacks, where in ((bare_first & ~bare, first_name), (bare & ~bare_first, name)):
            if n := int(np.count_nonzero(lacks)):
                notes.append(_say("no_label", n=n, what=where))
    return notes


def _labels(studies: Sequence[Study], rows: np.ndarray) -> list[np.ndarray]:
    """(n_shared,) object, the labels of compared images in each study; "" where one is missing."""
    columns = (study.column("images", "label").astype("object").fillna("").to_numpy() for study in studies)
    return [labels[places] for labels, places in zip(columns, rows, strict=True)]


def _check_same_pictures(first: Study, other: Study, rows: np.ndarray, other_rows: np.ndarray) -> None:
    """Compare some stored thumbnails: two folders can hold different pictures under the same names.

    Raises:
        StudyError: most of them differ.
    """
    sampled = evenly(len(rows), SAMPLED)
    apart = []
    for at in sampled:
        pair = _small(first, int(rows[at])), _small(other, int(other_rows[at]))
        if pair[0] is not None and pair[1] is not None:
            apart.append(float(np.abs(pair[0] - pair[1]).mean()))
    if apart and np.median(apart) > OTHER_PICTURE:
        images = [study.settings("embed").get("images") for study in (first, other)]
        raise StudyError(
            f"images of '{first.path}' and '{other.path}' have the same names but show different pictures "
            f"(--images {images[0]} and --images {images[1]}), so they cannot be compared"
        )


def _small(study: Study, row: int) -> np.ndarray | None:
    """(SIDE, SIDE) float32 grey levels of a thumbnail; None if there is none."""
    if not study.has("thumbnail_sizes"):
        return None
    try:
        picture = study.thumbnail_image(row).convert("L")
    except (PeregrineError, OSError):
        return None
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)


# Which images became right or wrong from one study to another. No torch.


GAINED, LOST, RIGHT, WRONG = "wrong to right", "right to wrong", "right in both", "wrong in both"
SIDES = (GAINED, LOST, RIGHT, WRONG)


def surest_first(sides: pd.DataFrame, study: str, side: str) -> pd.DataFrame:
    """List the images of a `side_table` on one side of a study, most confident new answer first."""
    moved = sides.loc[(sides["study"] == study) & (sides["side"] == side)]
    order = np.lexsort([moved["image_id"].astype(str), -numbers(moved, "confidence_after")])
    return moved.take(order).reset_index(drop=True)


def side_table(shared: Shared) -> pd.DataFrame:
    """List how the result of each evaluation image changed from the first study to each other one.

    Returns:
        study, image_id, row (in the first study), label (in the first study), label_after (in the other one,
        where people may have corrected it), side (one of SIDES), predicted, confidence and q each with
        _before and _after. Images without a known correctness in both are left out.
    """
    blocks = []
    before = _answers(shared.studies[0], shared.rows[0, shared.judged])
    for name, study, rows in zip(shared.names[1:], shared.studies[1:], shared.rows[1:], strict=True):
        after = _answers(study, rows[shared.judged])
        was, now = numbers(before, "correct"), numbers(after, "correct")
        gained, lost = (was == 0) & (now == 1), (was == 1) & (now == 0)
        side = np.select([gained, lost, was == 1], SIDES[:3], WRONG)
        judged = shared.judged
        labels_after = study.column("images", "label").to_numpy(object)[rows[judged]]
        columns = {"study": name, "image_id": shared.image_ids[judged], "row": shared.rows[0, judged]}
        columns |= {"label": shared.labels[judged], "label_after": labels_after, "side": side}
        block = pd.DataFrame(columns)
        for column in ("predicted", "confidence", "q"):
            block[f"{column}_before"] = before[column].to_numpy()
            block[f"{column}_after"] = after[column].to_numpy()
        blocks.append(block.loc[np.isfinite(was) & np.isfinite(now)])
    return pd.concat(blocks, ignore_index=True)


def has_other_label(sides: pd.DataFrame) -> np.ndarray:
    """(n,) bool: the rows of a `side_table` whose image has another label in the other study."""
    before, after = (sides[name].astype(object).fillna("").to_numpy() for name in ("label", "label_after"))
    return np.asarray(before != after, bool)


def _answers(study: Study, rows: np.ndarray) -> pd.DataFrame:
    """predicted, confidence, correct, q of some images, in order."""
    results = {"confidence": "confidence", "correct": "correct", "q": "q_score"}
    predicted = study.column("probe", "predicted").to_numpy(object)[rows] if study.has("probe") else ""
    results_of_rows = {name: result_column(study, column)[rows] for name, column in results.items()}
    return pd.DataFrame({"predicted": predicted, **results_of_rows})

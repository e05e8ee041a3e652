"""Predictions that the user has: a table of images, or logits in their order. Data, never code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.answers.classes import in_likely_order, match_classes, read_class_file, say_of_match
from core.answers.outcome import VALUES, AnswerValues, ClassColumns, Request, from_logits, quoted
from core.common.csv_text import as_written, no_wide_rows
from core.common.dataframes import words
from core.common.formatting import counted
from core.common.label_match import Match, match_labels, plain
from core.common.parquet_footer import read_image_rows
from core.common.private_paths import common_folder, relative_paths
from core.common.step_facts import EmbedFacts
from core.errors import SettingsError, first_line
from core.study.progress import Progress
from core.study.reader import StudyReader

MOST_BYTES = 4_000_000_000  # of a table, which is read into memory
MOST_OUTPUTS = 100_000
KEYS = ("image_id", "path")
NO_CLASSES = frozenset(  # names of columns beside the scores of classes, as tools write them
    ("loss", "nll", "entropy", "margin", "energy", "confidence", "uncertainty", "variance", "temperature")
    + (
        "score",
        "max_prob",
        "max_logit",
        "max_softmax",
        "msp",
        "correct",
        "is_correct",
        "fold",
        "epoch",
        "step",
    )
    + ("true_index", "true_label", "true_class", "target", "targets", "y", "y_true", "label_index", "gt")
    + ("pred", "prediction", "predicted_index", "pred_index", "y_pred", "argmax", "top1", "index", "idx")
    + ("unnamed: 0", "row", "id", "label_id", "class_id", "batch", "seed", "time", "weight")
)
ROUNDING = 1e-5  # of a share that was computed in float32


def file_answer(study: StudyReader, request: Request, progress: Progress) -> AnswerValues:
    """The answer of predictions in a file: .csv, .tsv or .parquet with ids or paths, or .npy of logits.

    Raises:
        SettingsError: what is wrong with the file, in a line.
    """
    path = str(request.file)
    with progress.stage("predictions"):
        if path.lower().endswith(".npy"):
            return _from_npy(study, path, request)
        return _from_table(study, path, _read(path), request)


def _from_npy(study: StudyReader, path: str, request: Request) -> AnswerValues:
    try:
        logits = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, MemoryError) as error:
        raise SettingsError(f"cannot read the logits '{path}': {first_line(error)}") from None
    labels, n = study.class_names, study.n_images
    if logits.ndim != 2 or logits.dtype.kind not in "fiu" or not 0 < logits.shape[1] <= MOST_OUTPUTS:
        raise SettingsError(
            f"'{path}' holds {logits.dtype} {logits.shape}; expected numbers (images, classes)"
        )
    if len(logits) != n:
        raise SettingsError(f"'{path}' has {counted(len(logits), 'row')}, the study {counted(n, 'image')}")
    n_outputs = logits.shape[1]
    if request.head_classes:
        match = read_class_file(request.head_classes, n_outputs, labels)
    elif n_outputs == len(labels):
        match = match_classes([[]] * n_outputs, labels)
    else:
        raise SettingsError(
            f"'{path}' has {counted(n_outputs, 'column')}, the study "
            f"{counted(len(labels), 'class', 'classes')}; name "
            "them: --head-classes FILE"
        )
    assert match is not None

    def rows(start: int, stop: int) -> torch.Tensor:
        block = np.array(logits[start:stop], dtype=np.float32)
        if not np.isfinite(block).all():
            bad = start + int(np.flatnonzero(~np.isfinite(block).all(1))[0])
            raise SettingsError(f"'{path}' has NaN or infinity in row {bad}")
        return torch.from_numpy(block)

    answer = from_logits(rows, n, ClassColumns.of(match, labels, restrict=request.restrict))
    match, of_order = (match, []) if request.head_classes else in_likely_order(study, answer, match)
    answer.facts = {"n_classes": n_outputs, "matched": match.how}
    answer.notes = [*match.notes(), *of_order]
    return answer


def _read(path: str) -> pd.DataFrame:
    try:
        if (size := Path(path).stat().st_size) > MOST_BYTES:
            raise SettingsError(f"'{path}' has {size:,} bytes; at most {MOST_BYTES:,} are read")
        if path.lower().endswith(".parquet"):
            return read_image_rows(path)
        if path.lower().endswith((".csv", ".tsv")):
            keys: Any = dict.fromkeys((*KEYS, "predicted"), str)
            tab = "\t" if path.lower().endswith(".tsv") else ","
            options: Any = {"keep_default_na": False, "na_values": [""], "skipinitialspace": tab == ","}
            with no_wide_rows(tab):
                table = pd.read_csv(path, sep=tab, dtype=keys, index_col=False, **options)
            return table.assign(**{name: table[name].str.strip() for name in keys if name in table})
    except SettingsError:
        raise
    except Exception as error:  # of the parsers, which raise errors of many kinds
        raise SettingsError(f"cannot read the predictions '{path}': {first_line(error)}") from None
    raise SettingsError(f"'{path}' is no .csv, .tsv, .parquet or .npy file")


def _from_table(study: StudyReader, path: str, table: pd.DataFrame, request: Request) -> AnswerValues:
    key = next((name for name in KEYS if name in table.columns), None)
    if key is None:
        raise SettingsError(f"'{path}' has no column image_id or path; it has {quoted(table.columns)}")
    if table.columns.duplicated().any():
        raise SettingsError(f"'{path}' has two columns '{table.columns[table.columns.duplicated()][0]}'")
    ids = pd.Index(words(table, key))
    if len(doubled := ids[ids.duplicated()]):
        raise SettingsError(f"'{path}' has the {key} '{doubled[0]}' twice; there is one answer an image")
    mine = pd.Index(words(study.images, key))
    row_of = _rows_of(ids, mine)
    if not (row_of >= 0).any():  # as an export writes it: below the folder of the images
        row_of = _rows_of(ids, pd.Index(_as_exported(study, key)))
    is_in_study = row_of >= 0
    if not is_in_study.any():
        raise SettingsError(
            f"'{path}' holds predictions of other images: it begins with {key} {quoted(ids)}, the study with "
            f"{quoted(mine)}"
        )
    answer = (
        _predicted_classes(study, path, table, row_of, request)
        if "predicted" in table.columns
        else _class_scores(study, path, table, row_of, request)
    )
    if not is_in_study.all():
        first = study.images["image_id"].to_numpy(object)[~is_in_study]
        answer.notes.append(say_of_match("without_prediction", n=len(first), what=quoted(first)))
    if (more := len(ids) - int(is_in_study.sum())) > 0:
        answer.notes.append(say_of_match("other_rows", n=more))
    return answer


def _rows_of(ids: pd.Index, mine: pd.Index) -> np.ndarray:
    """The row of a file for each image, -1 for none: ids as they stand there, else without the apostrophe
    that our own exports put before what a spreadsheet would execute."""
    rows = ids.get_indexer(mine)
    if (rows < 0).any() and (written := pd.Index([as_written(one) for one in ids])).is_unique:
        rows = np.where(rows < 0, written.get_indexer(mine), rows)
    return rows


def _as_exported(study: StudyReader, key: str) -> pd.Series:
    folder = study.facts(EmbedFacts).source.root
    names = study.column("images", key)
    return relative_paths(names, folder, common_folder(names))


def _predicted_classes(
    study: StudyReader, path: str, table: pd.DataFrame, row_of: np.ndarray, request: Request
) -> AnswerValues:
    """One predicted class an image, by name or as the number of an output, and perhaps its confidence."""
    class_file = request.head_classes
    if request.restrict:
        raise SettingsError(f"--restrict needs scores; '{path}' has one class an image: leave it out")
    predicted = pd.Series([*table["predicted"].astype(object), None], dtype=object).take(row_of)
    predicted = predicted.map(_class_text, na_action="ignore")
    labels, names = study.class_names, list(pd.unique(predicted.dropna()))
    match = None
    if class_file or set(names) - set(labels):
        match, outputs = _match_predicted(path, names, labels, class_file)
        called = [labels[code] if code >= 0 else match.names[at] for at, code in enumerate(match.code)]
        predicted = predicted.map({name: called[output] for name, output in zip(names, outputs, strict=True)})
    codes, names = pd.factorize(predicted)
    values = {name: np.full(study.n_images, np.nan) for name in VALUES}
    rows = row_of[row_of >= 0]
    for name in VALUES:
        if name in table.columns:
            column = np.asarray(pd.to_numeric(table[name], errors="coerce"), dtype=np.float64)
            if not np.isfinite(column[rows]).all():
                bad = rows[~np.isfinite(column[rows])][0]
                raise SettingsError(f"'{path}' has no finite number in column {name}, row {bad + 1}")
            outside = rows[(column[rows] < 0) | (column[rows] > 1 + ROUNDING)]
            if len(outside) and name == "confidence":
                confidence, row = column[outside[0]], outside[0] + 1
                raise SettingsError(f"'{path}' has confidence {confidence:g} in row {row}; expected 0 to 1")
            values[name] = np.append(column, np.nan)[row_of]
    best = codes.astype(np.int32)[:, None]
    answer = AnswerValues(list(names), best, values, facts={"n_classes": len(names)})
    if match is not None:
        answer.facts["matched"] = match.how
        left = [] if class_file else match.left_note("predicted classes")
        answer.notes = [say_of_match("matched_by", why=match.how), *left, *match.shared_note()]
        unclear = {label for several in match.shared.values() for label in several}
        left_out = unclear | set(match.unmatched if class_file else ())
        answer.known = [label for label in labels if label not in left_out]
    return answer


def _match_predicted(
    path: str, names: list[str], labels: Sequence[str], class_file: str | None
) -> tuple[Match, list[int]]:
    """A match of outputs to labels, and the output that each predicted name is."""
    if class_file:
        match = read_class_file(class_file, None, labels)
        outputs = [int(name) if name.isdecimal() else -1 for name in names]
        bad = [name for name, output in zip(names, outputs, strict=True) if not 0 <= output < len(match.code)]
        if bad:
            raise SettingsError(
                f"'{path}' predicts {quoted(bad)}; --head-classes {class_file} names outputs by number, 0 to "
                f"{len(match.code) - 1:,}"
            )
        return match, outputs
    match = match_labels([_as_named(name) for name in names], labels)
    if not match.n_matched:
        numbers = bool(names) and all(name.isdecimal() for name in names)
        raise SettingsError(
            f"no class that '{path}' predicts is a label of the study: it predicts {quoted(names)}, the "
            f"labels are {quoted(labels)}{'. Name the outputs: --head-classes FILE' * numbers}"
        )
    return match, list(range(len(names)))


def _class_scores(
    study: StudyReader, path: str, table: pd.DataFrame, row_of: np.ndarray, request: Request
) -> AnswerValues:
    """One column a class, of logits or probabilities."""
    class_file = request.head_classes
    others, beside = _class_columns(table, row_of, study.class_names)
    if class_file and others != [str(output) for output in range(len(others))]:
        raise SettingsError(
            f"'{path}' has the columns {quoted(others)}; --head-classes {class_file} names them by number"
        )
    if class_file and others:
        match = read_class_file(class_file, len(others), study.class_names)
    else:
        match = match_classes([_as_named(name) for name in others], study.class_names) if others else None
    if match is None:
        raise SettingsError(
            f"'{path}' has neither a column predicted nor columns named like classes; it has "
            f"{quoted(table.columns)}"
        )
    if len(others) > MOST_OUTPUTS:
        raise SettingsError(
            f"'{path}' has {len(others):,} columns; at most {MOST_OUTPUTS:,} classes are read"
        )
    try:
        scores = table[others].to_numpy(np.float32, copy=True)
    except (TypeError, ValueError):
        raise SettingsError(f"'{path}' has texts among its columns of classes {quoted(others)}") from None
    used = scores[row_of[row_of >= 0]]
    if not np.isfinite(used).all():
        bad = row_of[row_of >= 0][~np.isfinite(used).all(1)][0]
        raise SettingsError(f"'{path}' has NaN or infinity in row {bad + 1}")
    shares = _add_up(table, row_of, others)
    if shares:
        with np.errstate(divide="ignore"):
            scores = np.maximum(np.log(scores), -1e4)
    scored = torch.from_numpy(scores)

    def rows(start: int, stop: int) -> torch.Tensor:
        return scored[torch.from_numpy(np.maximum(row_of[start:stop], 0))]

    columns = ClassColumns.of(match, study.class_names, restrict=request.restrict)
    answer = from_logits(rows, study.n_images, columns)
    answer.best[row_of < 0] = -1
    for name in VALUES:
        answer.values[name][row_of < 0] = np.nan
    answer.facts = {"n_classes": len(others), "matched": match.how}
    answer.notes = [*match.notes(), *([say_of_match("probabilities")] if shares else [])]
    if beside:
        answer.notes.append(say_of_match("no_classes", what=quoted(beside), names=tuple(beside)))
    return answer


def _class_columns(
    table: pd.DataFrame, row_of: np.ndarray, labels: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the columns that are scores of classes, and others that are left out and said.

    Columns that match labels are classes. Others are classes of a larger classifier where the probabilities
    of a row add up to 1 with them only, or where they are more than the labels; names of losses, entropies
    and indices never are, unless a label is called so.
    """
    names = [str(name) for name in table.columns if name not in (*KEYS, "split", "true", "label")]
    meant = match_labels([[name] for name in names], labels).code >= 0
    spelled = ["_".join(plain(name).split()) for name in names]
    is_number = [pd.api.types.is_numeric_dtype(table[name]) for name in names]
    might = [
        is_label or (number and word not in NO_CLASSES)
        for is_label, number, word in zip(meant, is_number, spelled, strict=True)
    ]
    classes = [name for name, is_one in zip(names, might, strict=True) if is_one]
    labelled = [name for name, is_one in zip(names, meant, strict=True) if is_one]
    further = len(classes) - len(labelled)
    if labelled and 0 < further < len(labelled) and not _add_up(table, row_of, classes):
        classes = labelled
    return classes, [name for name in names if name not in classes]


def _add_up(table: pd.DataFrame, row_of: np.ndarray, names: list[str]) -> bool:
    """Whether the columns are probabilities that add up to 1 in each row."""
    try:
        used = table[names].to_numpy(np.float32)[row_of[row_of >= 0]]
    except (TypeError, ValueError):
        return False
    return bool((used >= 0).all() and np.allclose(used.sum(1), 1, atol=1e-3))


def _as_named(name: str) -> list[str]:
    """What a class of a table may be called: as it stands there, or without the apostrophe of our exports."""
    return list(dict.fromkeys([name, as_written(name)]))


def _class_text(value: object) -> str:
    """A class as text; a number of a Parquet file, also one that missing rows made a float, as an integer."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

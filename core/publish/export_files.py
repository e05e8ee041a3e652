"""Export tables and representations of a study as .csv, .parquet, .json or .npy files."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import numpy as np
import pandas as pd

from core.analysis.remedies import COLUMNS as REMEDIES
from core.analysis.remedies import OF_IMAGES as REMEDY_IMAGES
from core.answers.answer import answers_table
from core.charts.bases_table import bases_table
from core.charts.table_file import complete_file, provenance
from core.common.arrow_tables import EXACT
from core.common.captions import with_class_names
from core.common.command_line import command_line
from core.common.csv_text import write_csv
from core.common.formatting import json_number
from core.common.inside import check_output_file
from core.common.private_paths import common_folder, folder_of_ids, relative_paths
from core.common.records import Templates
from core.common.score_names import COLUMNS as PICTURE_COLUMNS
from core.common.score_names import DUPLICATE_OF, NEAR_DUPLICATE_OF, SCORES
from core.common.step_facts import EmbedFacts
from core.concepts.blame import COLUMNS as INTERVENTIONS
from core.concepts.concept_features import COLUMNS as CONCEPT_FEATURES
from core.concepts.concept_features import concept_features
from core.concepts.falcon import TOP_WORDS
from core.concepts.word_measures import kept_words
from core.errors import HeatmapNotStored, SettingsError, StudyError, unknown_name
from core.measures.causes import COLUMNS as CAUSES
from core.measures.causes import RATES as CAUSE_RATES
from core.measures.label_issues import COLUMNS as LABEL_ISSUES
from core.measures.label_issues import issues_of
from core.measures.leaks import COLUMNS as LEAKS
from core.measures.leaks import leaks_of_slice
from core.measures.slice import Slice
from core.measures.slice_comparison import train_images, with_split
from core.store import Study
from core.study import traces
from core.study.label_decisions import corrected_labels
from core.study.reader import StudyReader

# The labels of a study's images, as they are or as people corrected them (`core.study.label_decisions`).


_say = Templates.beside(__file__)
LABEL_COLUMNS = ("path", "label", "split")


def labels_table(study: Study, *, corrected: bool = False) -> pd.DataFrame:
    """Return the exported table of labels: image_id and COLUMNS, one row per image in study order.

    Splits are those of the study's default answer: by answers out of fold every image is an evaluation image.

    Args:
        corrected: with what people decided; a label that is wrong without a better one is missing then.
    """
    images = study.answering().images.loc[:, ["image_id", *LABEL_COLUMNS]]
    return images.assign(label=corrected_labels(study)) if corrected else images


# Names of classes as pages call them, beside labels that are WordNet ids.


OF_CLASSES = (  # columns that hold a class
    *("label", "true", "predicted", "suggested", "train_label", "corrected_label"),
)
CLASS_NAME = "_name"


def has_ids(study: StudyReader) -> bool:
    """Return True for a study to export of which any class is a WordNet id that has a name."""
    return study.has("images") and any(with_class_names(name) != name for name in study.class_names)


def name_columns(columns: Iterable[Any]) -> list[str]:
    """Return the columns of an exported table with classes, which get a column of names each."""
    present = set(columns)
    return [name for name in OF_CLASSES if name in present]


def _with_name_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return an exported table with a column COLUMN_name at its end for each column of classes."""
    named = {
        f"{name}{CLASS_NAME}": names_of_classes(cast(pd.Series, frame[name]))
        for name in name_columns(frame.columns)
    }
    return frame.assign(**named)


def names_of_classes(classes: pd.Series) -> pd.Series:
    """Return the name of each class of an exported table; missing where there is no class."""
    names = {name: with_class_names(str(name)) for name in classes.dropna().unique()}
    return classes.map(names).astype("str")


# The tasks of a study in which people rate words (docs/method.md 6.11): the table `human-study`.
#
# Which of six shuffled words fit the images of group A (what a feature looks at) and not those of group B
# (its counterfactual images)? Answers are read by `reproductions/human_study.py`.


IMAGES_A, IMAGES_B = 9, 6
WORDS = tuple(f"word_{number}" for number in range(1, TOP_WORDS + 1))
HUMAN_STUDY_COLUMNS = ("task", "images_a", "images_b", *WORDS)
HUMAN_STUDY_SEED = 0  # of the order of words


def human_study_tasks(study: Study) -> pd.DataFrame:
    """Return the exported table of tasks for a study with people: a row a feature or group with words.

    An image is its id, a crop of one `ID#xywh=LEFT,TOP,WIDTH,HEIGHT` in pixels (a media fragment of the W3C);
    several are joined by semicolons. `%`, `;` and `#` within an id are written %25, %3B and %23.

    Raises:
        StudyError: the study has no concepts.
    """
    words = rated_words(study)
    crops = study.table("highly_activating")
    crops = crops.loc[crops["left"].notna()]
    against = study.table("counterfactuals")
    rng = np.random.default_rng(HUMAN_STUDY_SEED)
    rows = []
    for task, (group, ranked) in words.items():
        shuffled = [ranked[at] for at in rng.permutation(len(ranked))]
        shown = dict.fromkeys(WORDS, "") | dict(zip(WORDS, shuffled, strict=False))
        of_group = crops.loc[crops["group"] == group].head(IMAGES_A).to_dict("records")
        others = against.loc[against["group"] == group, "image_id"].head(IMAGES_B)
        images_a = ";".join(_rated_crop(row) for row in of_group)
        images_b = ";".join(_rated_image(str(image_id)) for image_id in others)
        rows.append({"task": task, "images_a": images_a, "images_b": images_b} | shown)
    return pd.DataFrame(rows, columns=list(HUMAN_STUDY_COLUMNS)).astype("str")


def rated_words(study: Study) -> dict[str, tuple[str, list[str]]]:
    """Return by task of an exported study with people the feature or group that it is of, and its words.

    Raises:
        StudyError: the study has no concepts.
    """
    if not study.has("concepts"):
        raise StudyError(f"'{study.path}' has no concepts. Run: {command_line('concepts', study.path)}")
    words = kept_words(study.table("concepts"))
    return dict(zip(_rated_features(len(words)), sorted(words.items()), strict=True))


def _rated_features(n: int) -> Iterable[str]:
    return (f"w{number:04d}" for number in range(n))


def _rated_image(image_id: str) -> str:
    return re.sub("[%;#]", lambda match: quote(match.group()), image_id)


def _rated_crop(row: Any) -> str:
    left, top, right, bottom = (int(row[side]) for side in ("left", "top", "right", "bottom"))
    return f"{_rated_image(str(row['image_id']))}#xywh={left},{top},{right - left},{bottom - top}"


# Export tables and representations of a study as .csv, .parquet, .json or .npy files.
#
# The columns are a promise (see `COLUMNS`): other columns that a step stores are not exported. In .csv, a
# text that a spreadsheet would run as a formula gets a leading apostrophe;
# `pd.read_csv(FILE).map(as_written)`, with `core.common.csv_text.as_written`, restores every text. The
# other formats hold texts unchanged.


COLUMNS: dict[str, tuple[str, ...]] = {
    "images": ("image_id", "path", "split", "label"),
    "labels": LABEL_COLUMNS,  # with what people corrected, and in other forms: label_forms.py
    "features": (
        *("feature", "mean", "std", "activation_rate", "tail", "discriminative", "top_class", "purity"),
    ),
    "quality": (
        *("image_id", "split", "q_score", "n_firing", "n_firing_discriminative", "norm", "max_activation"),
        *("q_all_features", "hoyer", "knn_similarity", "predicted", "confidence", "margin", "energy"),
        *("correct", "combined", "distinctiveness", "raw_distinctiveness", "soft_q", "whitened_norm"),
        *("pca_residual", "kpca_error", "gen", "nnguide", "fdbd", "she", "vim_residual"),
        "calibrated",  # after `quality --calibrate`; a score that is new in SCORES follows it
    ),
    "probe": (
        *("image_id", "split", "true", "predicted", "confidence", "margin", "energy", "correct"),
        "top5_correct",
    ),
    "overlap": ("image_id", "mask", "paper", "binary", "soft", "energy"),
    "concepts": (
        *("group", "rank", "word", "kind", "score", "kept", "discarded_by"),
        *("elsewhere", "auc", "auc_low", "auc_high", "under_heat"),
    ),
    "groups": ("group", "n_images", "clip_cosine", "interpretable"),
    "captions": ("group", "image_id", "rank", "caption", "cosine", "confidence"),
    "highly_activating": ("group", "image_id"),
    "human-study": HUMAN_STUDY_COLUMNS,
    "failures": (*("image_id", "true", "predicted", "rank", "feature", "contribution", "side", "words"),),
    "interventions": INTERVENTIONS,
    "answers": (),  # image_id, split, true, and for each answer NAME_predicted, NAME_confidence, NAME_correct
    "skipped": ("path", "reason"),
    "pictures": ("image_id", *PICTURE_COLUMNS),
    "nearest_train": ("image_id", "nearest_train"),
    "leaks": LEAKS,
    "rotation": ("image_id", "rotation", "rotation_gain"),
    "neighbours": ("image_id", "rank", "neighbour", "similarity"),
    "label_issues": LABEL_ISSUES,
    "causes": CAUSES,
    "cause_rates": CAUSE_RATES,
    "remedies": REMEDIES,
    "remedy_images": REMEDY_IMAGES,
    "concept_features": CONCEPT_FEATURES,
    "bases": (),  # a row a basis: facts, and means of concept_features with their intervals
    "traces_images": traces.IMAGE_COLUMNS,
    "traces_features": traces.FEATURE_COLUMNS,
    "attributes": (),  # all columns of the image source
    "metrics": (),  # how well each score predicts the probe's errors
}
COLUMNS["quality"] += tuple(name for name in SCORES if name not in COLUMNS["quality"])
STORED_AS = {"metrics": "quality_metrics"}
COMPUTED_TABLES = {  # of what the study holds, when it is asked for
    "answers": answers_table,
    "labels": labels_table,
    "concept_features": concept_features,
    "human-study": human_study_tasks,
    "bases": bases_table,
    "leaks": lambda study: _leaks(study),
    "traces_images": traces.images_table,
    "traces_features": traces.features_table,
}
IMAGES = (  # columns that name an image
    *("image_id", "neighbour", "near_1", "near_2", "near_3", "train_image"),
    *(DUPLICATE_OF, NEAR_DUPLICATE_OF),
)
# Tables without rows per image that are computed again for a slice.
OF_SLICES = ("features", "metrics", "cause_rates")
OF_TRACES = ("traces_images", "traces_features")
OF_BOTH_SPLITS = ("label_issues",)  # tables of which a slice without a split holds train images, too
TABLES = (*COLUMNS, "representations", "basis", "heatmap", "mask")
EXTENSIONS = (".csv", ".parquet", ".json", ".npy")
ABOUT = "-about"


def export_table(study: Study, table: str, out: str | Path, *, slice: Slice | None = None) -> int:
    """Write one table (or the raw representations) of a study to a file, which appears only when complete.

    Args:
        table: one of `TABLES`.
        out: its extension selects the format; a table as .npy is a structured array. Which study, answer,
            basis and filter it is of stands in the metadata of a .parquet (`pd.read_parquet(out).attrs`), and
            beside another file in `OUT-about`, a line of JSON.
        slice: only these images; for tables with one or more rows per image.
    Returns:
        the number of rows written.
    Raises:
        SettingsError: unknown table or extension, or a slice for a table that has no images.
        StudyError: the study does not hold the table (yet); the message names the command for it.
    """
    out = Path(out)
    _check(table, out)
    facts = provenance(study, slice)
    if table == "representations":
        n_rows = _export_representations(study, out, slice)
    else:
        frame = read_table(study, table, slice=slice).copy(deep=False)
        frame.attrs = {**facts}
        n_rows = len(frame)
        with complete_file(out) as temporary:
            WRITERS[out.suffix.lower()](frame, temporary)
    write_about(out, facts)
    return n_rows


def write_about(out: Path, facts: Mapping[str, str]) -> None:
    """Write what an exported file is of beside it, where its format has no place for that.

    No part of its name after a dot is the ending of a table: readers of a folder take each for one.
    """
    if out.suffix.lower() != ".parquet":
        with complete_file(out.with_name(f"{out.name}{ABOUT}")) as temporary:
            temporary.write_text(f"{json.dumps(facts, ensure_ascii=False)}\n", encoding="utf-8")


def export_frame(
    study: Study,
    kind: str,
    out: str | Path,
    *,
    image: str,
    features: Sequence[int] | None = None,
    combine: str = "mean",
    mask: str = "core",
    device: str = "auto",
) -> tuple[int, int]:
    """Write one heatmap or mask in the encoder's input view as a .npy, (S, S) float32 in [0, 1].

    Args:
        kind: "heatmap" or "mask".
        features: their maps are combined by `combine`; None: the image's firing discriminative features.
        device: for a heatmap that the study does not hold; torch is imported only then.
    Raises:
        StudyError: there is no such image, or it has no mask.
    """
    out = Path(out)
    _check(kind, out)
    if kind == "mask":
        frame = study.mask(image, mask)
    else:
        frame = _heatmap(study, study.row_of(image), features, combine, device)
    with complete_file(out) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array(file, np.asarray(frame, dtype="<f4"), allow_pickle=False)
    write_about(out, provenance(study) | {"filter": f"image_id={image}"})
    return frame.shape[0], frame.shape[1]


def _heatmap(study: Study, row: int, features: Sequence[int] | None, combine: str, device: str) -> np.ndarray:
    try:
        return study.heatmap(row, features, combine)
    except HeatmapNotStored:
        from core.analysis.heatmaps_step import on_demand

        return on_demand(study, row, features, combine, device=device)


def read_table(study: Study, table: str, *, slice: Slice | None = None) -> pd.DataFrame:
    """Read a table as it is exported: the promised columns in the promised order.

    Where classes are WordNet ids, a column COLUMN_name follows for each column of classes, except in
    `labels`, which other tools read.
    """
    if table == "neighbours":
        frame = _neighbours(study)
    elif table in OF_BOTH_SPLITS and slice:
        _check_there(study, table, table)
        frame, slice = issues_of(study, slice), None
    elif table in COMPUTED_TABLES:
        frame = COMPUTED_TABLES[table](study)
    else:
        stored = STORED_AS.get(table, table)
        _check_there(study, table, stored)
        columns = study.columns(stored)  # without labels, or without an encoder, a study lacks some
        frame = study.table(stored, columns=[name for name in COLUMNS[table] if name in columns] or None)
    frame = frame if slice is None or not slice else _only(study, table, frame, slice)
    frame = without_image_folder(study, table, frame)
    if table != "labels" and has_ids(study):
        frame = _with_name_columns(frame)
    # The ids were for the slice.
    return cast(pd.DataFrame, frame[list(LABEL_COLUMNS)]) if table == "labels" else frame


def of_slice(study: Study, table: str, where: Slice | None) -> tuple[Study, Slice | None]:
    """Study and slice by which `read_table` exports a table; one of many images is computed again."""
    if where is None or table in OF_BOTH_SPLITS:
        return study, where
    where = with_split(study, where)
    return (study.where(where), None) if table in OF_SLICES else (study, where)


def note_on_train_images(study: Study, table: str, *, slice: Slice | None = None) -> str:
    """State what the scores of train images in an exported table lack; '' where it holds none of them.

    Args:
        slice: that of `export_table`.
    """
    if table not in ("quality", "probe"):
        return ""
    inside = slice.mask(study) if slice else np.ones(study.n_images, bool)
    if not (inside & ~study.is_val).any():
        return ""
    is_optimistic = study.has("probe") and study.answer is None
    if table == "quality":
        return _say("empty_and_optimistic" if is_optimistic else "empty")
    return _say("optimistic") if is_optimistic else ""


def without_image_folder(study: Study, table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Make paths of images, and ids that are paths, relative to their folder: what is exported is handed on.

    One folder is cut from both, so that no two images become one.
    """
    ids = folder_of_ids(study.column("images", "image_id")) if study.has("images") else ""
    for name in IMAGES if ids else ():
        if name in frame:
            frame = frame.assign(**{name: frame[name].str.removeprefix(ids)})
    if table not in ("images", "labels", "skipped") or "path" not in frame:
        return frame
    folder = study.facts(EmbedFacts).source.root
    paths = cast(pd.Series, frame["path"])
    return frame.assign(
        path=relative_paths(paths, folder, ids or common_folder(study.column("images", "path")))
    )


def _check(table: str, out: Path) -> None:
    if table not in TABLES:
        raise SettingsError(unknown_name(f"no table '{table}'", table, TABLES, "Tables"))
    extensions = (".npy",) if table in ("representations", "heatmap", "mask") else EXTENSIONS
    check_output_file(out, table, extensions)


def _check_there(study: Study, table: str, item: str) -> None:
    """Say which command makes a table that is not there."""
    missing = study.why_missing(item)
    if missing is None:
        return
    start = f"no {table} in '{study.path}': "
    if missing.state in ("damaged", "earlier"):
        raise StudyError(f"{start}{missing}")
    step = missing.step or table
    if study.state(step) == "done":
        raise StudyError(f"{start}{study.why_skipped(step) or 'its images bring none'}")
    why = "they are stale (their inputs changed)" if missing.state == "stale" else "not computed yet"
    raise StudyError(f"{start}{why}. Run: {command_line(step, study.path)}")


def _leaks(study: Study) -> pd.DataFrame:
    _check_there(study, "leaks", "pictures")
    return leaks_of_slice(study, np.ones(study.n_images, bool))


def _only(study: Study, table: str, frame: pd.DataFrame, slice: Slice) -> pd.DataFrame:
    if "image_id" not in frame:
        raise SettingsError(f"a slice selects images, but '{table}' has no rows per image; leave it out")
    image_ids = study.images["image_id"].to_numpy()[slice.mask(study)]
    return frame.loc[frame["image_id"].isin(list(image_ids))].reset_index(drop=True)


def _neighbours(study: Study) -> pd.DataFrame:
    """One row per evaluation image and rank: the near train image and its cosine."""
    _check_there(study, "neighbours", "neighbours")
    rows, similarity = study.vector("neighbours"), study.vector("neighbour_similarity")
    ids = study.images["image_id"].to_numpy()
    evaluated = ids[~train_images(study)]
    k = rows.shape[1]
    frame = pd.DataFrame({"image_id": np.repeat(evaluated, k)})
    frame["rank"] = np.tile(np.arange(1, k + 1), len(rows))
    frame["neighbour"] = ids[rows.ravel()]
    frame["similarity"] = similarity.ravel()
    return frame.loc[rows.ravel() >= 0].reset_index(drop=True)  # -1 pads where train has fewer than k


def _export_representations(study: Study, out: Path, slice: Slice | None) -> int:
    """Raw representations, float32, in the order of `images`; written chunk by chunk, so any size works."""
    _check_there(study, "representations", "representations")
    raw = study.array("representations")
    mask = slice.mask(study) if slice else np.ones(len(raw), dtype=bool)
    n_rows = int(mask.sum())
    with complete_file(out) as temporary, open(temporary, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, *raw.shape[1:])}
        np.lib.format.write_array_header_1_0(file, header)
        for start, chunk in raw.chunks():
            rows = chunk[mask[start : start + len(chunk)]]
            file.write(np.ascontiguousarray(rows, dtype="<f4").data)
    return n_rows


def _write_npy(frame: pd.DataFrame, path: Path) -> None:
    """Write a structured array, one field per column; fixed-width texts, so it loads without pickle."""
    columns = {str(name): _plain(values) for name, values in frame.items()}
    records = np.empty(len(frame), dtype=[(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        records[name] = values
    with open(path, "wb") as file:
        np.lib.format.write_array(file, records, allow_pickle=False)


def _write_json(frame: pd.DataFrame, path: Path) -> None:
    """Write a list of objects: a missing number is null, an infinite one "Infinity"."""
    floats = frame.select_dtypes("float")
    for name in [one for one in floats if np.isinf(floats[one]).any()]:
        frame = frame.assign(**{name: [json_number(value) for value in frame[name].tolist()]})
    frame.to_json(path, orient="records", force_ascii=False, double_precision=15, date_format="iso")


def _plain(series: pd.Series) -> np.ndarray:
    """Keep numbers and booleans, as numbers with NaN where some are missing; convert the rest to text, ''
    where missing."""
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        return series.to_numpy()
    kind = pd.api.types.infer_dtype(series, skipna=True)
    is_truth = kind == "boolean" or (kind == "empty" and series.dtype == object)  # of nothing, no texts
    if is_truth or pd.api.types.is_numeric_dtype(series):
        if series.notna().all():
            return series.to_numpy(bool if is_truth else getattr(series.dtype, "numpy_dtype", None))
        numbers = series.astype(object).where(series.notna(), np.nan).astype(np.float64).to_numpy()
        if not (np.abs(numbers) >= EXACT).any():
            return numbers
    texts = ["" if missing else str(value) for value, missing in zip(series, series.isna(), strict=True)]
    return np.array(texts, dtype=f"<U{max(map(len, texts), default=1) or 1}")


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    ".csv": write_csv,
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
    ".json": _write_json,
    ".npy": _write_npy,
}

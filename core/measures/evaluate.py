"""Find the images of a study that a slice contains."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from core.common.captions import class_id, with_class_names
from core.common.command_line import command_line
from core.common.dataframes import read_only
from core.common.score_names import COLUMNS as PICTURE_COLUMNS
from core.errors import SliceError, did_you_mean
from core.measures.image_columns import REPEATS, TABLE, WHY, first_causes, repetition, tells_causes
from core.measures.saved_slices_file import Conditions, with_saved
from core.study.reader import StudyReader
from core.study.traces import read_traces

OF_PICTURES = ("pictures", "nearest_train", "rotation")  # what pictures are, whatever they are taken for
# The first with a column of that name counts.
TABLES = ("images", "quality", "probe", "attributes", *OF_PICTURES)  # the first with such a column counts
REPEATED = (
    "repeated"  # not a table: which images repeat others, by `pictures`; see `core.measures.image_columns`
)
RESULTS = ("quality", "probe", "overlap", TABLE)
KEPT = ("images", "quality", "probe")  # their columns are read once
TRACES = "traces"  # not a table: what people left on the images, see `core.study`
TAG, WRONG_LABEL = TRACE_COLUMNS = ("tag", "wrong_label")
SPLITS = ("train", "val")
MASKS = ("core", "spurious")
MEASURES = ("energy", "paper", "binary", "soft")  # columns of the table `overlap`
T = TypeVar("T")
_READ: WeakKeyDictionary[StudyReader, dict[str, Any]] = WeakKeyDictionary()
OVERLAPS = {f"{mask}_{measure}": (mask, measure) for mask in MASKS for measure in MEASURES}


def slice_columns(study: StudyReader) -> dict[str, str]:
    """Map every column that a slice can name to its table; the study's own go before those of the traces."""
    tables: dict[str, str] = {}
    for table in TABLES:
        if study.has(table):
            for column in study.columns(table):
                tables.setdefault(column, table)
    if study.has("overlap"):
        for column in OVERLAPS:
            tables.setdefault(column, "overlap")
    for column in REPEATS if study.has("pictures") else ():
        tables.setdefault(column, REPEATED)
    if tells_causes(study):
        tables.setdefault(WHY, TABLE)
    for column in TRACE_COLUMNS:
        tables.setdefault(column, TRACES)
    return tables


def may_depend_on_traces(conditions: Conditions) -> bool:
    """Return True when a condition of a slice may depend on what people left on images.

    It names a tag, a doubted label, a cause of errors, which follows decisions, or a saved slice, which
    may name one.
    """
    return bool(conditions.saved) or any(column in conditions.extras for column in (*TRACE_COLUMNS, WHY))


def mask(conditions: Conditions, study: StudyReader) -> np.ndarray:
    """(n_images,) bool: images for which all conditions of a slice, and of slices that it names, hold."""
    parts = with_saved(conditions, study.path)
    return np.logical_and.reduce([_mask(part, study) for part in parts])


def _mask(conditions: Conditions, study: StudyReader) -> np.ndarray:
    """(n_images,) bool: all conditions hold but the saved slices."""
    inside = np.ones(study.n_images, dtype=bool)
    if conditions.split is not None:
        _check_known("split", [conditions.split], SPLITS)
        inside &= study.is_val if conditions.split == "val" else ~study.is_val
    for column, classes in _class_conditions(conditions):
        inside &= _of_classes(study, column, classes)
    if conditions.correct is not None:
        inside &= _equals(study, "correct", ("true" if conditions.correct else "false",))
    for column, (low, high) in conditions.ranges.items():
        inside &= _within(study, column, low, high)
    for column, values in conditions.extras.items():
        inside &= _equals(study, column, values, check=True)
    for feature in conditions.fires:
        inside &= _fires(study, feature)
    for word in conditions.concepts:
        inside &= _shows(study, word)
    if conditions.image_ids:
        inside &= _equals(study, "image_id", conditions.image_ids, check=True)
    return inside


def of_results(conditions: Conditions, study: StudyReader) -> bool:
    """Return True when a condition of a slice depends on results of encoder or probe, not only the image.

    Raises:
        SliceError: no saved slice has a name that is used.
    """
    tables = slice_columns(study)
    for part in with_saved(conditions, study.path):
        if part.correct is not None or part.predicted or part.confusion or part.fires or part.concepts:
            return True
        if any(tables.get(column) in RESULTS for column in (*part.ranges, *part.extras)):
            return True
    return False


def named_splits(conditions: Conditions, study: StudyReader) -> set[str]:
    """Return the splits that a slice's conditions name, themselves or by a saved slice; empty if none.

    Raises:
        SliceError: no saved slice has a name that is used.
    """
    splits: set[str] = set()
    for part in with_saved(conditions, study.path):
        splits |= {*part.extras.get("split", ())} | ({part.split} if part.split else set())
    return splits


def names_images(conditions: Conditions, study: StudyReader) -> bool:
    """Return True when a slice's conditions list single images, themselves or by a saved slice."""
    return any(part.image_ids for part in with_saved(conditions, study.path))


def asked_columns(conditions: Conditions, study: StudyReader) -> list[str]:
    """Return the columns of ranges and values that the conditions name, themselves or by a saved slice.

    Columns that people fill, `tag` and `wrong_label`, are left out.

    Raises:
        SliceError: no saved slice has a name that is used.
    """
    parts = with_saved(conditions, study.path)
    names = dict.fromkeys(column for part in parts for column in (*part.ranges, *part.extras))
    return [column for column in names if slice_columns(study).get(column) != TRACES]


def result_column(study: StudyReader, column: str) -> np.ndarray:
    """(n_images,) float64, read-only: a numeric or boolean column of a study's results; NaN if unknown."""
    if slice_columns(study).get(column) not in RESULTS:
        return np.full(study.n_images, np.nan)
    values = column_values(study, column)
    is_float = values.dtype == np.float64  # needs no copy
    return read_only(values.to_numpy() if is_float else values.to_numpy(np.float64, na_value=np.nan))


def class_column(study: StudyReader, column: str) -> np.ndarray:
    """(n_images,) int64, read-only: place in `class_names` of an image's 'label' or 'predicted', or -1."""
    if slice_columns(study).get(column) not in ("images", *RESULTS):
        return np.full(study.n_images, -1)
    return read_only(_class_codes(study, column).astype(np.int64))


def _class_codes(study: StudyReader, column: str) -> np.ndarray:
    """(n_images,) int32: `class_column`, read once for the life of the study."""

    def read() -> np.ndarray:
        codes, names = pd.factorize(column_values(study, column))
        positions = pd.Index(study.class_names, dtype=object).get_indexer(pd.Index(names, dtype=object))
        return np.append(positions, -1)[codes].astype(np.int32)  # a missing one has the code -1

    holder = study.holder(slice_columns(study)[column], column)
    return read_once(holder, f"class of {column}", read)


def _of_classes(study: StudyReader, column: str, classes: tuple[str, ...]) -> np.ndarray:
    """(n_images,) bool: images whose class in a column, 'label' or 'predicted', is one of some."""
    allowed = study.class_names
    if column == "predicted" and not set(classes) <= set(allowed):  # an output may be no label
        allowed = [*allowed, *column_values(study, column).dropna().unique()]
    classes = tuple(class_id(class_, allowed) for class_ in classes)
    _check_known(column, classes, allowed)
    if column not in slice_columns(study) or not set(classes) <= set(study.class_names):
        return _equals(study, column, classes)
    codes, numbers = _class_codes(study, column), [study.class_names.index(name) for name in classes]
    return codes == numbers[0] if len(numbers) == 1 else np.isin(codes, numbers)  # of one, in a fifth


def read_once(study: StudyReader, name: str, read: Callable[[], np.ndarray]) -> np.ndarray:
    """Return an array that measures of a study are made of, read at the first call and kept, read-only."""
    return made_once(study, name, lambda: read_only(read()))


def made_once(study: StudyReader, name: str, make: Callable[[], T]) -> T:
    """Return what is measured of a study at the first call and kept; nobody may change it."""
    columns = _READ.setdefault(study, {})
    if name not in columns:
        columns.setdefault(name, make())
    return columns[name]


def _class_conditions(where: Conditions) -> list[tuple[str, tuple[str, ...]]]:
    conditions = [("label", where.labels), ("predicted", where.predicted)]
    if where.confusion:
        true, predicted = where.confusion
        conditions += [("label", (true,)), ("predicted", (predicted,))]
    return [(column, classes) for column, classes in conditions if classes]


def column_values(study: StudyReader, column: str) -> pd.Series:
    """One value per image of a study, in its order, of a column that slices can name and is no trace."""
    tables = slice_columns(study)
    if column not in tables:
        raise _unknown_column(study, column, list(tables))
    if tables[column] == TRACES:
        raise SliceError(f"'{column}' has no range; write tag=doubtful or wrong_label=true")
    if (table := tables[column]) == "overlap":
        return pd.Series(read_once(study, column, lambda: _overlap(study, *OVERLAPS[column])))
    if table == REPEATED:
        return pd.Series(read_once(study, column, lambda: repetition(study, column)))
    if table == TABLE:
        return pd.Series(first_causes(study), dtype="str")  # not kept: people decide on labels meanwhile
    values = study.column(table, column) if table in KEPT else study.table(table, columns=[column])[column]
    if len(values) == study.n_images:
        return pd.Series(values.array, copy=False)
    frame = study.table(table, columns=["image_id", column])  # a table over one split only
    frame = frame.set_index("image_id").reindex(study.column("images", "image_id"))
    return pd.Series(frame[column].array)


def _overlap(study: StudyReader, mask: str, measure: str) -> np.ndarray:
    """(n_images,) float64: overlap of the heatmap with that mask; NaN where there is none."""
    table = study.table("overlap", columns=["row", "mask", measure])
    mine = (table["mask"] == mask).to_numpy(dtype=bool)
    overlap = np.full(study.n_images, np.nan)
    overlap[table["row"].to_numpy()[mine]] = table[measure].to_numpy(dtype=np.float64)[mine]
    return overlap


def _shows(study: StudyReader, word: str) -> np.ndarray:
    """(n_images,) bool: images that highly activate a feature or group that kept the word."""
    if not study.has("concepts"):
        command = command_line("concepts", study.path)
        raise SliceError(f"the words of the images are not computed yet. Run: {command}")
    concepts = study.table("concepts", columns=["group", "word", "kept"])
    is_kept = concepts["kept"].to_numpy(dtype=bool)
    words = concepts["word"].to_numpy(dtype=object)
    groups = set(concepts["group"].to_numpy(dtype=object)[is_kept & (words == word)])
    if not groups:
        raise SliceError(f"no feature kept the word '{word}'.{did_you_mean(word, set(words[is_kept]))}")
    high = study.table("highly_activating", columns=["group", "image_id"])
    mine = high["group"].isin(list(groups)).to_numpy(dtype=bool)
    names = set(high["image_id"].to_numpy(dtype=object)[mine])
    return study.column("images", "image_id").isin(list(names)).to_numpy(dtype=bool)


def _unknown_column(study: StudyReader, column: str, columns: list[str]) -> SliceError:
    missing = study.missing()
    if column in ("correct", "predicted") and "probe" in missing:
        return SliceError(f"'{column}' needs the probe: {missing['probe']}")
    if column in (*PICTURE_COLUMNS, *REPEATS) and (why := study.why_missing("pictures")) is not None:
        return SliceError(f"'{column}' needs the table 'pictures', which is {why}")
    for table in study.damage:
        if column in study.manifest["items"][table].get("columns", ()):
            why = study.why_missing(table)
            return SliceError(f"'{column}' is in the table '{table}', which is {why}")
    hint = did_you_mean(column, columns)
    return SliceError(
        f"no column '{column}' in '{study.path}'.{hint} It has: {', '.join(columns)}",
        short=f"no column '{column}'.{hint}",
    )


def _equals(study: StudyReader, column: str, values: tuple[str, ...], *, check: bool = False) -> np.ndarray:
    """True where the column has one of the values; a missing value matches nothing."""
    if slice_columns(study).get(column) == TRACES:
        return _traced(study, column, values)
    series = column_values(study, column)
    if pd.api.types.is_bool_dtype(series) or _holds_truth(series):
        _check_known(column, values, ("true", "false"))
        truths = [value == "true" for value in values]
        return series.astype("boolean").isin(truths).fillna(False).to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(series):
        fits = series.isin([_number(column, value) for value in values]) & series.notna()
        return fits.to_numpy(dtype=bool)
    if not pd.api.types.is_string_dtype(series):  # dates, lists …: compared as text
        series = series.astype(object).map(str, na_action="ignore")
    if check:
        _check_present(column, values, series)
    return series.isin(list(values)).to_numpy(dtype=bool)


def _traced(study: StudyReader, column: str, values: tuple[str, ...]) -> np.ndarray:
    """(n_images,) bool: images with one of the tags, or with (without) a label that is marked as wrong."""
    traces = read_traces(study.path)
    if column == TAG:
        for value in values:
            if value not in traces.image_tags:
                raise SliceError(f"no image has the tag '{value}'.{did_you_mean(value, traces.image_tags)}")
        tagged = [name for name, image in traces.images.items() if set(values) & set(image.tags)]
        return study.column("images", "image_id").isin(tagged).to_numpy(dtype=bool)
    _check_known(column, values, ("true", "false"))
    marked = [name for name, image in traces.images.items() if image.wrong_label]
    is_marked = study.column("images", "image_id").isin(marked).to_numpy(dtype=bool)
    return np.logical_or.reduce([is_marked == (value == "true") for value in values])


def _holds_truth(series: pd.Series) -> bool:
    """Return True for boolean columns; with missing values, Parquet returns them as objects."""
    if series.dtype != object:
        return False
    present = series.dropna()
    return len(present) > 0 and isinstance(present.iloc[0], (bool, np.bool_))


def _within(study: StudyReader, column: str, low: float, high: float) -> np.ndarray:
    series = column_values(study, column)
    if pd.api.types.is_bool_dtype(series) or not pd.api.types.is_numeric_dtype(series):
        raise SliceError(f"column '{column}' is not numeric, so it has no range; write {column}=VALUE")
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return (values >= low) & (values <= high)


def _fires(study: StudyReader, feature: int) -> np.ndarray:
    for item in ("firing_by_feature_ptr", "firing_by_feature_rows"):
        if item in study.damage:
            raise SliceError(f"which features fire cannot be read: {study.why_missing(item)}")
    if not study.has("firing_by_feature_ptr"):
        command = command_line("features", study.path)
        raise SliceError(f"the firing features are not computed yet. Run: {command}")
    pointers = study.vector("firing_by_feature_ptr")
    if feature >= len(pointers) - 1:
        numbers = f"it has 0 to {len(pointers) - 2}"
        raise SliceError(
            f"no feature {feature} in '{study.path}'; {numbers}", short=f"no feature {feature}; {numbers}"
        )
    rows = study.array("firing_by_feature_rows")[int(pointers[feature]) : int(pointers[feature + 1])]
    fires = np.zeros(study.n_images, dtype=bool)
    fires[rows] = True
    return fires


def _number(column: str, value: str) -> float:
    try:
        return int(value) if value.lstrip("+-").isdecimal() else float(value)  # a float rounds long ids
    except ValueError:
        raise SliceError(f"column '{column}' holds numbers, not '{value}'; write {column}=0.1..0.3") from None


def _check_known(column: str, values: Iterable[str], allowed: Collection[str]) -> None:
    for value in values:
        if value not in allowed:
            names = [with_class_names(one) for one in allowed]
            few = f" It has: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}" if names else ""
            short = f"no {column} '{value}' in this study.{did_you_mean(with_class_names(value), names)}"
            raise SliceError(f"{short}{few}", short=short)


def _check_present(column: str, values: tuple[str, ...], series: pd.Series) -> None:
    present = set(series.dropna().unique())
    for value in values:
        if value not in present:
            raise SliceError(f"no image has {column} '{value}'.{did_you_mean(value, map(str, present))}")

"""Values of every image from stored tables: overlap, repeats, first cause, unit of data. No torch."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.score_names import DUPLICATE_OF, NEAR_DUPLICATE_OF
from core.common.step_facts import CausesFacts
from core.study.reader import StudyReader

# Overlap of the heatmap of each image with its masks, one value per image of the study.


MASKS = ("core", "spurious")
VARIANTS = ("paper", "binary", "soft", "energy")  # how a heatmap is compared with a mask
CONTROLS = ("noise", "uniform", "centre", "ceiling")  # control heatmaps, scored for each image and mask


def control_column(control: str) -> str:
    """Return the column of the table `overlap` that holds a control's overlap, variant `paper`."""
    return f"control_{control}"


def overlap_values(study: StudyReader, variant: str = "paper") -> tuple[np.ndarray, np.ndarray]:
    """Return the overlap of each image with its core and its spurious mask, and whether it has the mask.

    Args:
        variant: a column of the table `overlap`, which the study must hold.
    Returns:
        (n_images, 2) float64, NaN where undefined, and (n_images, 2) bool: the mask exists and is not black
        in the encoder's input view.
    """
    values, masked = np.full((study.n_images, 2), np.nan), np.zeros((study.n_images, 2), bool)
    table = study.table("overlap", ["row", "mask", variant, "mask_area"])
    for at, kind in enumerate(MASKS):
        part = table.loc[table["mask"] == kind]
        rows = part["row"].to_numpy()
        values[rows, at] = numbers(part, variant)
        masked[rows, at] = numbers(part, "mask_area") > 0
    return values, masked


def control_values(study: StudyReader) -> np.ndarray:
    """(n_images, 2, 4) float64: overlap `paper` of each control with core and spurious mask, or NaN."""
    names = [control_column(control) for control in CONTROLS]
    overlaps = np.full((study.n_images, len(MASKS), len(CONTROLS)), np.nan)
    table = study.table("overlap", ["row", "mask", *names])
    for at, kind in enumerate(MASKS):
        part = table.loc[table["mask"] == kind]
        overlaps[part["row"].to_numpy(), at] = part[names].to_numpy(np.float64)
    return overlaps


# Which images repeat another one, and which evaluation images have a copy among the train images.
#
# Read of the table `pictures` (docs/method.md 1.8). Near duplicates include exact ones.


DUPLICATE, NEAR_DUPLICATE, LEAK = REPEATS = ("duplicate", "near_duplicate", "leak")
NONE = -1


def repetition(study: StudyReader, column: str) -> np.ndarray:
    """Tell for a filter (slice) which images repeat others, (n_images,) bool.

    Of DUPLICATE and NEAR_DUPLICATE, images that repeat an earlier one; of LEAK, evaluation images of which
    train has an exact or near duplicate.
    """
    if column == LEAK:
        return leaks(first_of_family(study), study.is_val)
    return _repeated(study, column).notna().to_numpy()


def _repeated(study: StudyReader, column: str) -> pd.Series:
    """(n_images,) the image that each one repeats. The study does not keep it: only what follows is asked for
    again, and is smaller."""
    name = f"{column}_of"
    return study.table("pictures", [name]).loc[:, name]


def leaks(family: np.ndarray, is_val: np.ndarray) -> np.ndarray:
    """(n_images,) bool: evaluation images of which a train image is a near duplicate.

    Args:
        family: (n_images,) as `first_of_family`.
    """
    has_train = np.zeros(len(family), bool)
    has_train[family[~is_val]] = True
    return is_val & has_train[family]


def first_of_family(study: StudyReader) -> np.ndarray:
    """(n_images,) int64: the first image of the set of near duplicates that an image is in; an image that is
    like no other is its own.

    An image is in the set of the image that it repeats, which may itself repeat another one.
    """
    first = np.arange(study.n_images)
    repeated = _repeated(study, NEAR_DUPLICATE)
    rows = np.flatnonzero(repeated.notna().to_numpy())
    names = repeated.iloc[rows]
    row_of = study.rows_held(names.unique().tolist())
    first[rows] = [row_of[name] for name in names]
    while (further := first[first] != first).any():
        first[further] = first[first[further]]
    return first


def leaked_pairs(study: StudyReader) -> np.ndarray:
    """(n, 2) rows of evaluation images with a duplicate in train, and of the first such train image."""
    family = first_of_family(study)
    val = np.flatnonzero(leaks(family, study.is_val))
    train = np.flatnonzero(~study.is_val)
    first_train = np.full(study.n_images, NONE)
    first_train[family[train][::-1]] = train[::-1]
    return np.column_stack([val, first_train[family[val]]])


# The first cause of each error, as the step `causes` has found it: the column `why` of the images.


LABEL, CROP, PICTURE, TURN, NEIGHBOURS, FEATURE, BACKGROUND = CAUSES = (
    *("label", "crop", "picture", "turn", "neighbours", "feature", "background"),
)
UNEXPLAINED, TOO_FEW_TO_TELL = NO_CAUSE = ("unexplained", "too few to tell")
TITLES = {  # of single errors
    LABEL: "doubtful or wrong label",
    CROP: "cut by the crop",
    PICTURE: "dark, pale or blurred",
    TURN: "rotated",
    NEIGHBOURS: "among another class",
    FEATURE: "a single feature",
    BACKGROUND: "the background",
    TOO_FEW_TO_TELL: "not judged",
}
WHY, TABLE = "why", "causes"
PROBE = "probe"  # the answer of a study that is read by no other


def cause_name(cause: str) -> str:
    """Name a cause of errors; what is none of them, such as "unexplained", by itself.

    >>> cause_name("crop"), cause_name("unexplained")
    ('cut by the crop', 'unexplained')
    """
    return TITLES.get(cause, cause)


def tells_causes(study: StudyReader) -> bool:
    """Return True when the study holds the causes of the errors of the answer that it is read by."""
    if not study.has(TABLE):
        return False
    answer = getattr(study, "answer", None)
    return study.facts(CausesFacts).answer == (answer.name if answer else PROBE)


def first_causes(study: StudyReader) -> np.ndarray:
    """(n_images,) object: the first cause that holds, UNEXPLAINED or TOO_FEW_TO_TELL; None for other images.

    Args:
        study: of which `tells_causes` is true.
    """
    of_images = study.table(TABLE, ["image_id", WHY]).drop_duplicates("image_id")
    values = of_images.set_index("image_id")[WHY].reindex(study.column("images", "image_id"))
    return values.astype(object).where(values.notna(), None).to_numpy(object)


# Which images are one unit of data: of one patient or sequence, or copies of one picture. No torch.


def unit_codes(study: StudyReader) -> np.ndarray:
    """Number the units of a study for intervals: images of a group, and those that repeat each other.

    Groups are those of `StudyReader.groups`; exact and near duplicates are those of the table `pictures`,
    where the study holds it. Images that a chain of these joins are one unit, too.

    Returns:
        (n_images,) int32, from 0, in order of first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = study.n_images
    pairs = [pair for pair in (_of_groups(study), *_of_copies(study)) if len(pair[0])]
    ends = np.concatenate(pairs, 1) if pairs else np.empty((2, 0), np.int64)
    edges = np.ones(ends.shape[1], bool)
    graph = coo_array((edges, (ends[0], ends[1])), shape=(n, n))
    components = connected_components(graph, directed=False)[1]
    return pd.factorize(components)[0].astype(np.int32)


def _of_groups(study: StudyReader) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows: each image with the first one of its group."""
    rows = np.arange(study.n_images)
    if study.groups is None:
        return rows[:0], rows[:0]
    first, codes = np.unique(study.groups, return_index=True, return_inverse=True)[1:]
    return rows, first[codes]


def _of_copies(study: StudyReader) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows: each image with the one that it repeats."""
    if not study.has("pictures"):
        return []
    rows_of = pd.Index(study.column("images", "image_id"))
    pairs = []
    for column in (DUPLICATE_OF, NEAR_DUPLICATE_OF):
        if column in study.columns("pictures"):
            rows = rows_of.get_indexer(pd.Index(study.column("pictures", column).to_numpy(object)))
            pairs.append((np.flatnonzero(rows >= 0), rows[rows >= 0]))
    return pairs

"""The images, units and folds on which encoders are compared: the same for all of them. No torch.

Near duplicates depend on the cosine of a study's representations, so each encoder has its own. Here the units
of all studies are joined: two images are of one unit where any study says so (docs/method.md 10.1).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from core.analysis.folds import assign_folds, in_several
from core.common.command_line import command_line
from core.common.records import Record, Templates
from core.common.step_facts import LeaderboardFacts
from core.compare.images import Shared, left_out, shared_images
from core.compare.notes import Note
from core.config import CrossfitConfig
from core.errors import StudyError
from core.measures.headline import out_of_fold
from core.measures.image_columns import unit_codes
from core.store import Study

TABLE = "leaderboard"
COLUMNS = ("image_id", "unit", "fold", "predicted", "confidence", "correct", "knn_predicted", "knn_correct")
_say = Templates.beside(__file__)


@dataclass(frozen=True)
class SharedFolds:
    """The labelled images that all studies share, each class in two folds or more.

    Attributes:
        shared: these images alone. units: (n,) int32. folds: (n,) int8. codes: (n,) int64, class of each.
        class_names: sorted. seed: of the folds. notes: what a reader should know.
        n_other_label: how many images are left out, since they have another label in some study.
    """

    shared: Shared
    units: np.ndarray
    folds: np.ndarray
    codes: np.ndarray
    class_names: list[str]
    seed: int
    notes: list[Note]
    n_other_label: int = 0

    @property
    def n(self) -> int:
        return len(self.units)

    @property
    def population(self) -> Record:
        """The images that encoders are compared on, and how many are left out."""
        return out_of_fold(self.n, left_out(self.n_other_label))

    @property
    def fingerprint(self) -> str:
        """Return a checksum of the images, their labels, units and folds."""
        digest = hashlib.sha256()
        for texts in (self.class_names, self.shared.image_ids):
            digest.update("\n".join(map(str, texts)).encode("utf-8", "surrogateescape"))
        for values in (self.codes, self.units, self.folds, self.seed):
            digest.update(np.ascontiguousarray(values, np.int64).tobytes())
        return digest.hexdigest()

    def answers_of(self, number: int) -> pd.DataFrame | None:
        """Return what a study answers out of these folds, COLUMNS in the order of the images.

        None where it holds no such answers, or those of other folds.
        """
        study = self.shared.studies[number]
        if study.facts(LeaderboardFacts).folds != self.fingerprint or not study.has(TABLE):
            return None
        return study.table(TABLE)

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the studies without answers out of these folds."""
        return [number for number in range(len(self.shared.studies)) if self.answers_of(number) is None]


def shared_folds(studies: Sequence[Study], seed: int = 0) -> SharedFolds:
    """Find the images that all studies hold with one label, join their units, and divide them into folds.

    Raises:
        SettingsError, StudyError: as `shared_images`. StudyError: no answer can be judged out of fold.
    """
    shared = shared_images(studies)
    labels, n_other = _common_labels(shared)
    labelled = np.flatnonzero(labels != "")
    if not len(labelled):
        raise StudyError("no image has one label in all these studies, so no answer can be judged")
    names, codes = np.unique(labels[labelled].astype(str), return_inverse=True)
    units = _joined_units(shared)[labelled]
    folds = assign_folds(codes, units, CrossfitConfig.folds, seed)
    several = in_several(codes, folds)
    judged, codes_judged = np.unique(codes[several], return_inverse=True)
    if len(judged) < 2:
        raise StudyError(
            f"a leaderboard needs two classes with two images each that are no copies of each other; the "
            f"shared images have {len(judged)}"
        )
    rows = labelled[several]
    notes = [*_of_sizes(shared), *_of_single(len(labelled) - len(rows)), *_of_copies(shared)]
    none, everyone = np.zeros(len(rows), bool), np.ones(len(rows), bool)
    shared_rows = replace(shared, rows=shared.rows[:, rows], judged=everyone, other_label=none)
    codes_of_units = pd.factorize(units[several])[0].astype(np.int32)
    fold_codes = np.unique(folds[several], return_inverse=True)[1].astype(np.int8)
    class_codes = codes_judged.astype(np.int64)
    return SharedFolds(
        shared_rows, codes_of_units, fold_codes, class_codes, names[judged].tolist(), seed, notes, n_other
    )


def _joined_units(shared: Shared) -> np.ndarray:
    """Number the units of the shared images: images that are one unit in any study are one.

    Returns:
        (n_shared,) int32, from 0, in order of first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = shared.n_images
    first_of_unit = []
    for study, rows in zip(shared.studies, shared.rows, strict=True):
        first, codes = np.unique(unit_codes(study)[rows], return_index=True, return_inverse=True)[1:]
        first_of_unit.append(first[codes])
    ends = np.tile(np.arange(n), len(first_of_unit)), np.concatenate(first_of_unit)
    graph = coo_array((np.ones(len(ends[0]), bool), ends), shape=(n, n))
    return pd.factorize(connected_components(graph, directed=False)[1])[0].astype(np.int32)


def _common_labels(shared: Shared) -> tuple[np.ndarray, int]:
    """(n_shared,) the label of each image, "" where studies disagree or it has none; how many disagree."""
    labels = []
    for study, rows in zip(shared.studies, shared.rows, strict=True):
        column = study.column("images", "label").astype("object").fillna("")
        labels.append(column.to_numpy(object)[rows])
    first, *others = labels
    differs = np.zeros(len(first), bool)
    for labels in others:
        differs |= labels != first
    return np.where(differs, "", first), int(differs.sum())


def _of_sizes(shared: Shared) -> list[Note]:
    sizes = [study.n_images for study in shared.studies]
    if all(size == shared.n_images for size in sizes):
        return []
    of_each = tuple(_say("size", what=name, n=n) for name, n in zip(shared.names, sizes, strict=True))
    return [Note(_say("partly_shared", n=shared.n_images, names=of_each))]


def _of_single(n: int) -> list[Note]:
    return [Note(_say("single", n=n))] if n else []


def _of_copies(shared: Shared) -> list[Note]:
    """A note on each study with pictures that does not know which of them repeat each other."""
    notes = []
    for name, study in zip(shared.names, shared.studies, strict=True):
        if not study.has("pictures") and study.has("thumbnail_sizes"):
            command = command_line("embed", study.path, redo=True)
            notes.append(Note(_say("unknown_copies", what=name), command))
    return notes

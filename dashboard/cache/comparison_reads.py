"""Which studies can be compared, and their comparison, cached; the rules are those of `reader.py`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.charts.chart import alike
from core.charts.checkpoints import FeaturesAlong, features_in_pictures
from core.charts.options import FigureOptions
from core.common.step_facts import EmbedFacts
from core.compare.answers import compare_answers
from core.compare.checkpoints import along
from core.compare.compare import EVERYTHING, Comparison, compare, in_common
from core.compare.features import lone_features as core_lone_features
from core.compare.images import Shared, shared_images
from core.compare.leaderboard import leaderboard as core_leaderboard
from core.compare.shared_folds import shared_folds as core_shared_folds
from core.encoders.readout import chosen_readout
from core.errors import StudyError
from core.measures.slice import Slice
from core.store import Study
from core.study.jobs import read_job
from dashboard.cache.reader import cached_read
from dashboard.state import served_studies


def other_studies(study: Study) -> dict[str, Study]:
    """The other studies of the folder that hold images, by name: first those made of the same --images, and
    of these the finished ones. Each is read by the answer that the study is read by, or by its default where
    it has none of that name.
    """
    others: dict[str, Study] = {}
    for name, other in served_studies.readable():
        if other.path.resolve() == (study.below or study.path).resolve():
            other = served_studies.in_units(study)
        if other.has("images") and other.path.resolve() != study.path.resolve():
            others[name] = alike(study, other)

    def rank(pair: tuple[str, Study]) -> int:
        if not made_of_the_same(study, pair[1]):
            return 2
        job = read_job(pair[1].path)
        return int(job is not None and job.state != "done")

    return dict(sorted(others.items(), key=rank))


def made_of_the_same(study: Study, other: Study) -> bool:
    """Whether both were made of the same images: by the manifest, or by their names where the list of one is
    another, such as that of corrected labels.
    """
    inputs = [
        one.manifest["steps"].get("embed", {}).get("inputs", {}).get("@images") for one in (study, other)
    ]
    if inputs[0] is None or inputs[1] is None:
        return False
    return inputs[0] == inputs[1] or _have_the_same_names(study, other)


def one_an_encoder(studies: Mapping[str, Study], mine: str) -> list[str]:
    """The newest study of each encoder, in the order given: another one with corrected labels says nothing of
    which encoder is better. All of them where they have one encoder.

    Args:
        mine: the open study, which stands for its encoder.
    """
    newest: dict[tuple[str, str], str] = {}
    for name in [*sorted(studies, key=lambda name: _made_at(studies[name])), mine]:
        newest[_encoder_of(name, studies[name])] = name
    return [name for name in studies if name in newest.values() or len(newest) < 2]


def _encoder_of(name: str, study: Study) -> tuple[str, str]:
    """What tells encoders apart: the fingerprint and how it is read; the study where it has none."""
    encoder = study.facts(EmbedFacts).encoder
    return encoder.fingerprint or name, chosen_readout(encoder, study.settings("embed"))


def _made_at(study: Study) -> int:
    """When the images of a study were read; later steps leave that file alone."""
    return ((study.below or study.path) / "images.parquet").stat().st_mtime_ns


@cached_read(max_entries=64)
def shares_images(study: Study, other: Study) -> bool:
    """Whether two studies hold pictures of the same names that are the same pictures."""
    try:
        shared_images((study, other))
    except StudyError:
        return False
    return True


@cached_read(max_entries=32)
def _have_the_same_names(study: Study, other: Study) -> bool:
    if study.n_images != other.n_images:
        return False
    names, others = (np.sort(one.column("images", "image_id").to_numpy(str)) for one in (study, other))
    return bool(np.array_equal(names, others))


_in_common = cached_read(max_entries=8)(in_common)


@cached_read(max_entries=8, spinner="Comparing the studies", names_features=True)  # and labels
def comparison(studies: tuple[Study, ...], *, among: Slice = EVERYTHING) -> Comparison:
    """See `core.compare.compare.compare`."""
    return compare(studies, among=among, common=_in_common(studies))


def shared_by(studies: tuple[Study, ...]) -> Shared:
    """The images that all studies hold, of both splits and whatever the filter."""
    return _in_common(studies).shared


answers_compared = cached_read(max_entries=8, spinner="Comparing the answers")(compare_answers)


shared_folds = cached_read(max_entries=4, spinner="Matching the images")(core_shared_folds)


leaderboard = cached_read(max_entries=4, spinner="Comparing the encoders")(core_leaderboard)


checkpoints = cached_read(max_entries=4, spinner="Reading the checkpoints")(along)


@cached_read(max_entries=4, names_features=True)
def checkpoint_features(studies: tuple[Study, ...], among: Slice) -> FeaturesAlong:
    """See `core.charts.checkpoints.features_in_pictures`."""
    return features_in_pictures(checkpoints(studies, among=among), FigureOptions())


@cached_read(max_entries=16)
def lone_features(
    studies: tuple[Study, ...], among: Slice, one: int, other: int, unlike: float | None = None
) -> pd.DataFrame:
    """See `core.compare.features.lone_features`."""
    return core_lone_features(comparison(studies, among=among).shared, one, other, unlike)


def rows_in(comparison: Comparison, number: int, rows: Sequence[int]) -> list[int]:
    """Where images of the first study stand in another one; each of them is one of those compared."""
    return comparison.shared.rows[number, np.searchsorted(comparison.shared.rows[0], rows)].tolist()

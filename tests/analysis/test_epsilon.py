"""The counts at every candidate of epsilon and the choice: against loops, by hand, and where none will do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.analysis.caveats import silent_note
from core.analysis.chunk_scan import ChunkRows
from core.analysis.definitions import highly_activating
from core.analysis.epsilon import EpsilonCounts, Outcome, choose_epsilon, next_smaller
from core.config import EPSILON_CANDIDATES
from core.errors import NoDiscriminativeFeatures, SettingsError, StudyError
from tests import reference
from tests.sentences import numbers


def counted(raw: np.ndarray, train: np.ndarray | None = None, **options) -> EpsilonCounts:
    counts = EpsilonCounts(raw.shape[1], **options)
    counts.update(ChunkRows(raw, raw.shape[1]), np.ones(len(raw), bool) if train is None else train)
    return counts


def awkward(rng: np.random.Generator, n: int, r: int) -> np.ndarray:
    """Sparse rows with dead features, zero rows, flat rows, ties and negative values among them."""
    raw = rng.gamma(rng.uniform(0.05, 1.5), size=(n, r)).astype(np.float32)
    raw[:, rng.random(r) < rng.choice([0.0, 0.3, 0.7])] = 0
    for at in rng.integers(0, n, max(n // 5, 1)):
        raw[at] = rng.choice([0, 0.5])
    for at in rng.integers(0, n, max(n // 5, 1)):
        raw[at] = rng.integers(-1, 3, r)
    return raw


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (7, 16), (33, 130), (300, 20)], ids=str)
def test_counts__match_loop(rng, shape, dtype):
    raw, train = awkward(rng, *shape).astype(dtype), rng.random(shape[0]) < 0.7
    counts = counted(raw, train)
    assert counts.n_images == train.sum()
    for at, epsilon in enumerate(sorted(EPSILON_CANDIDATES)):
        firing = reference.highly_activating(raw[train].astype(np.float64), epsilon)
        assert_array_equal(counts.firing[at], firing.sum(0))
        assert counts.firing_images[at] == firing.any(1).sum()
        assert_array_equal(firing, highly_activating(raw[train], epsilon=epsilon))


def test_counts__by_hand():
    # Row 1: feature 0 lies exactly 2 standard deviations above the mean, which is not above 2. Row 2 is flat.
    raw = np.array([[1, 0, 0, 0, 0], [0.2] * 5, [0, 0, 0, 0, 5]], np.float32)
    counts = counted(raw, epsilons=(2.0, 1.5))
    assert_array_equal(counts.epsilons, [1.5, 2.0])
    assert_array_equal(counts.firing, [[1, 0, 0, 0, 1], [0] * 5])
    assert_array_equal(counts.firing_images, [2, 0])


def test_counts__do_not_depend_on_chunks_or_order(rng):
    raw, train = awkward(rng, 90, 30), rng.random(90) < 0.6
    whole, parts = counted(raw, train), EpsilonCounts(30)
    for rows in np.array_split(rng.permutation(90), 7):
        parts.merge(counted(raw[rows], train[rows]))
    assert_array_equal(whole.firing, parts.firing)
    assert_array_equal(whole.firing_images, parts.firing_images)
    assert whole.n_images == parts.n_images


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_counts__refuse_what_is_not_finite(rng, bad):
    raw = awkward(rng, 5, 8)
    raw[3, 2] = bad
    with pytest.raises(StudyError, match="infinity.*3"):
        counted(raw)
    counted(raw, np.arange(5) != 3)


@pytest.mark.parametrize(("low", "high"), [(50.0, 95.0), (0.0, 100.0), (25.0, 60.0)])
def test_choice__matches_loop(rng, low, high):
    met = set()
    for _ in range(60):
        raw = awkward(rng, int(rng.integers(1, 12)), int(rng.integers(1, 30)))
        expected, which = reference.auto_epsilon(raw, low, high)
        met.add(which)
        outcomes = counted(raw).outcomes(low=low, high=high)
        if expected is None:
            with pytest.raises(NoDiscriminativeFeatures, match="epsilon.*4.*1"):
                choose_epsilon(outcomes)
        else:
            choice = choose_epsilon(outcomes)
            assert choice.epsilon == expected and bool(choice.note) == (which != "all")
    assert {"all", "half", "none"} <= met  # else little was compared


ALL, NOTHING = (True, True, True), (False, False, False)
HALF_D, ONLY_D, HALF_LOW = (True, False, True), (False, False, True), (True, True, False)


@pytest.mark.parametrize(
    ("at", "chosen", "note"),
    [
        ({4: ALL, 3: ALL}, 4, ""),
        ({4: HALF_D, 3: ALL, 2: ALL}, 3, ""),  # the first edition's rule took 4
        ({4: ONLY_D, 3: HALF_LOW, 2: ALL}, 2, ""),
        ({4: ONLY_D, 3: HALF_D, 2: HALF_D}, 3, "No epsilon from 4 to 1 meets all three"),
        ({4: ONLY_D, 3: ONLY_D, 2: HALF_LOW}, 3, "At no epsilon from 4 to 1 do half"),
    ],
)
def test_choice__by_hand(at, chosen, note):
    choice = choose_epsilon([Outcome(e, *at.get(int(e), NOTHING)) for e in (4.0, 3.0, 2.0, 1.0)])
    assert choice.epsilon == chosen and choice.note.startswith(note) and bool(choice.note) == bool(note)


def test_choice__never_fails_where_an_epsilon_works(rng):
    for _ in range(200):
        raw = awkward(rng, int(rng.integers(1, 20)), int(rng.integers(1, 40)))
        outcomes = counted(raw).outcomes()
        if any(one.discriminative for one in outcomes):
            epsilon = choose_epsilon(outcomes).epsilon
            rate = 100 * highly_activating(raw, epsilon=epsilon).double().mean(0).numpy()
            assert reference.discriminative_features(rate, 50, 95).any()


@pytest.mark.parametrize("raw", [np.zeros((4, 8)), np.full((4, 8), 2.0), np.ones((3, 1))], ids=str)
def test_choice__no_feature_ever_fires(raw):
    with pytest.raises(NoDiscriminativeFeatures) as caught:
        choose_epsilon(counted(raw.astype(np.float32)).outcomes())
    assert caught.value.epsilon is None and caught.value.offer is None


def test_choice__every_feature_fires():
    raw = np.eye(40, dtype=np.float32)  # feature i alone on image i: (1 - 1/40) / sd = 6.2 deviations
    outcomes = counted(raw).outcomes()
    assert choose_epsilon(outcomes).epsilon == 4.0 and choose_epsilon(outcomes).note == ""


def test_choice__no_images():
    assert not any(one.discriminative or one.half_fire for one in EpsilonCounts(5).outcomes())


def test_outcomes__check_percentiles():
    with pytest.raises(SettingsError, match="0.*100"):
        EpsilonCounts(5).outcomes(low=90, high=10)


def test_next_smaller__is_below_and_works():
    outcomes = [Outcome(4.0, *NOTHING), Outcome(3.0, *ONLY_D), Outcome(2.0, *ALL)]
    assert [next_smaller(outcomes, e) for e in (9.0, 4.0, 3.0, 2.0)] == [3.0, 3.0, 2.0, None]


def test_silent_note__only_where_the_lower_percentile_is_zero():
    assert silent_note(np.array([0, 0, 1.0, 2])) == ""  # the median is 0.5
    rate = np.array([0, 0, 0, 2.0])
    assert numbers(silent_note(rate)) == ["3", "4", "5"]
    assert numbers(silent_note(rate, high=90)) == ["3", "4", "10"]
    assert numbers(silent_note(rate, high=100)) == ["3", "4"]
    assert silent_note(np.array([])) == silent_note(np.zeros(3)) == ""

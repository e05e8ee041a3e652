"""Whether a feature harms: counts by hand, a loop over images, and what is concluded of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis.removal import (
    DRAWS,
    FEWEST,
    SwitchedOff,
    evenly_spaced,
    harm,
    harm_by_class,
    harm_finding,
    random_gains,
)
from core.measures.choice import mcnemar

NAMES = ["ant", "bee", "cat"]


def planted(n_fixed: int, n_broken: int, n_same: int = 50, *, random_fixed: int = 0) -> SwitchedOff:
    """Ants of which some become right, some wrong; random features make `random_fixed` of them right."""
    before = np.r_[np.ones(n_fixed, int), np.zeros(n_broken + n_same, int)]
    after = np.r_[np.zeros(n_fixed, int), np.ones(n_broken, int), np.zeros(n_same, int)]
    random = np.tile(before, (DRAWS, 1))
    random[:, :random_fixed] = 0
    return SwitchedOff(before, after, random, np.zeros(len(before)))


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (planted(12, 1), "harms"),
        (planted(1, 12), "helps"),
        (planted(12, 1, random_fixed=12), "unclear"),  # as many as without others
        (planted(6, 5), "unclear"),
        (planted(FEWEST - 1, 0), "too_few"),
        (planted(0, 0), "no_change"),
    ],
)
def test_finding__by_hand(made, kind):
    record = harm_finding(harm(made), random_gains(made))
    assert record.kind == kind


def test_finding__without_labels():
    made = planted(12, 1)
    unknown = SwitchedOff(made.before, made.after, made.random, np.full(len(made.true), np.nan))
    assert harm_finding(harm(unknown), random_gains(unknown)).kind == "no_labels"
    assert np.isnan(random_gains(unknown)).all() and harm_by_class(unknown, NAMES).empty


def test_harm__counts_and_gain_are_those_of_a_loop(rng):
    n = 400
    true = rng.integers(0, 3, n).astype(float)
    true[rng.random(n) < 0.1] = np.nan
    before, after, random = (rng.integers(0, 3, size) for size in (n, n, (DRAWS, n)))
    made = SwitchedOff(before, after, random, true)
    fixed, broken = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0)
    random_net = dict.fromkeys(NAMES, 0.0)
    for image in range(n):
        if np.isnan(true[image]):
            continue
        name = NAMES[int(true[image])]
        was, now = before[image] == true[image], after[image] == true[image]
        fixed[name] += int(now and not was)
        broken[name] += int(was and not now)
        random_net[name] += sum(int(one[image] == true[image]) - int(was) for one in random) / DRAWS
    paired = harm(made)
    assert (paired.only_second, paired.only_first) == (sum(fixed.values()), sum(broken.values()))
    assert paired.difference == pytest.approx((sum(fixed.values()) - sum(broken.values())) / paired.n)
    assert paired.p == pytest.approx(mcnemar(paired.only_first, paired.only_second))
    assert random_gains(made).mean() == pytest.approx(sum(random_net.values()) / paired.n)
    table = harm_by_class(made, NAMES).set_index("class")
    for name in NAMES:
        assert table.loc[name, ["fixed", "broken"]].tolist() == [fixed[name], broken[name]]
        assert table.loc[name, "random_net"] == pytest.approx(random_net[name])
    assert table["net"].is_monotonic_decreasing


def test_harm__copies_of_one_picture_widen_the_interval():
    made, n = planted(12, 1), len(planted(12, 1).true)
    alone, together = harm(made), harm(made, np.r_[np.zeros(12, int), np.arange(1, n - 11)])
    assert together.high - together.low > alone.high - alone.low
    assert_allclose(together.difference, alone.difference)


def test_evenly_spaced__keeps_both_ends_and_every_part():
    rows = np.arange(1000) * 3
    assert_array_equal(evenly_spaced(rows, 2000), rows)
    some = evenly_spaced(rows, 100)
    assert len(np.unique(some)) == 100 and some[0] == 0 and some[-1] == rows[-1]
    assert np.diff(some).max() <= 3 * 11

"""Which pictures are altered, and what each gets from another one."""

from __future__ import annotations

import numpy as np
import pytest

from core.research.mask_interventions.sampled import alike_in_area, draw_donors


@pytest.mark.parametrize("codes", [[0, 0, 1, 2, 2, 2], [0, 1], [0, 1, -1, -1]], ids=str)
def test_draw_donors__another_class_where_there_is_one(codes):
    codes = np.array(codes)
    for seed in range(20):
        donors, other_class = draw_donors(codes, np.random.default_rng(seed))
        assert (donors != np.arange(len(codes))).all()
        labelled = codes >= 0
        assert (codes[donors[labelled]] != codes[labelled]).all() and (codes[donors[labelled]] >= 0).all()
        assert other_class == labelled.all()


def test_draw_donors__every_other_picture_may_lend():
    codes = np.repeat([0, 1], 4)
    lent = {tuple(draw_donors(codes, np.random.default_rng(seed))[0][:1]) for seed in range(100)}
    assert lent == {(4,), (5,), (6,), (7,)}


@pytest.mark.parametrize("code", [0, -1], ids=["one class", "no labels"])
def test_draw_donors__any_other_picture_where_there_is_one_class_or_none(code):
    donors, other_class = draw_donors(np.full(5, code), np.random.default_rng(0))
    assert (donors != np.arange(5)).all() and not other_class


@pytest.mark.parametrize("n", [2, 3, 8, 31])
def test_alike_in_area__the_nearest_in_area_and_never_the_own(rng, n):
    areas = rng.integers(1, 9, n)
    found = alike_in_area(areas, rng)
    assert (found != np.arange(n)).all()
    ranks = np.argsort(np.argsort(areas, kind="stable"), kind="stable")
    ordered = np.sort(areas)
    gaps = [abs(int(areas[found[i]]) - int(areas[i])) for i in range(n)]
    widest = max(np.diff(ordered)) if n > 1 else 0
    assert max(gaps) <= widest and len(set(ranks)) == n


def test_alike_in_area__ties_go_by_the_seed():
    areas = np.full(50, 7)
    first, again, other = (alike_in_area(areas, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()

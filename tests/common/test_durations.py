"""How long something will take: one number on a free machine, a range on one that others use."""

from __future__ import annotations

import os

import pytest

from core.common.durations import SHARED, expected_duration, slowdown


@pytest.mark.parametrize(("load", "cores", "expected"), [(0.0, 4, 1.0), (2.0, 4, 1.5), (14.0, 2, 8.0)])
def test_slowdown__is_the_share_of_the_cores_that_are_left(load, cores, expected, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert slowdown() == pytest.approx(expected)


def test_slowdown__is_1_where_the_system_does_not_say(monkeypatch):
    monkeypatch.delattr(os, "getloadavg")
    assert slowdown() == 1.0


def test_about__is_a_range_only_where_others_make_a_difference():
    assert expected_duration(60, SHARED - 0.01).interval is None
    line = expected_duration(120, 3.0)
    assert line.kind == "between" and line.interval == (120, 360) and line.names == ("2 min", "6 min")
    assert expected_duration(0.1, 2.0).kind == "about"  # both ends read the same
    assert expected_duration(60).value == 60

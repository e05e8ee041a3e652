"""Probes of domain and class on planted representations, and where they are undefined."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.errors import SettingsError, ShapeError
from core.research.domains_parts import DomainImages, part_columns, part_slices
from core.research.domains_step import class_probes, domain_probe, domain_probes, predict_mlp
from tests.research.planted import K, planted


@pytest.mark.slow
def test_domain_probes__read_the_domain_where_it_is():
    table = domain_probes(planted(), K).set_index(["part", "probe"])
    for kind in ("linear", "mlp"):
        assert table.loc[("prefix", kind), "accuracy"] > 0.98
        assert table.loc[("all", kind), "accuracy"] > 0.98
        rest = table.loc[("rest", kind)]
        assert rest["accuracy"] < 0.48  # a third, and chance
        assert rest["low"] < rest["accuracy"] < rest["high"] and rest["n_val"] == 120
    assert domain_probes(planted(leak=2.0), K).set_index(["part", "probe"])["accuracy"].min() > 0.95


@pytest.mark.slow
def test_predict_mlp__reads_what_a_linear_probe_cannot():
    """The domain is the parity of two signs: a critic that is linear would miss it."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(900, 2)).astype(np.float32)
    codes = (np.sign(raw[:, 0]) * np.sign(raw[:, 1]) > 0).astype(np.int64)
    images = DomainImages(raw, codes, codes, np.arange(900) >= 600, ("a", "b"), ("x", "y"))
    assert domain_probe(images, slice(0, 2), "mlp")["accuracy"] > 0.9
    assert domain_probe(images, slice(0, 2), "linear")["accuracy"] < 0.65
    again = [predict_mlp(raw[:60], codes[:60], raw[600:], 2, seed=0) for _ in range(2)]
    assert (again[0] == again[1]).all()


def test_domain_probes__unseen_domains_are_left_out():
    table = domain_probes(planted(), K, unseen=("mono",))
    assert (table["n_val"] < 120).all() and (table["base_rate"] > 0.45).all()


def test_domain_probe__undefined_without_two_domains_or_evaluation_images():
    images = planted(60)
    one = dataclasses.replace(images, domains=np.where(images.domains == 0, 0, -1))
    found = domain_probe(one, slice(0, 16), "linear")
    assert np.isnan(found["accuracy"]) and found["base_rate"] == 1.0
    none = dataclasses.replace(images, is_val=np.zeros(60, bool))
    found = domain_probe(none, slice(0, 16), "linear")
    assert np.isnan(found["accuracy"]) and np.isnan(found["base_rate"]) and found["n_val"] == 0


def test_class_probes__by_both_protocols():
    images = planted()
    shifted = images.raw.copy()
    shifted[images.domains == 0, K : K + 4] = np.roll(shifted[images.domains == 0, K : K + 4], 1, axis=1)
    table = class_probes(dataclasses.replace(images, raw=shifted), K, unseen=("mono",))
    by = table.set_index(["part", "protocol", "domain"])["top1"]
    for domain in images.domain_names:
        assert by[("rest", "own", domain)] > 0.95  # a probe of its own finds the class in each domain
        assert by[("prefix", "own", domain)] < 0.55
    assert by[("rest", "seen", "plain")] > 0.95
    assert by[("rest", "seen", "mono")] < 0.3  # never taught that the class lies elsewhere there
    assert set(table[table["unseen"]]["domain"]) == {"mono"}


def test_class_probes__undefined_without_classes():
    images = planted(60)
    table = class_probes(dataclasses.replace(images, classes=np.full(60, -1)), None)
    assert table["top1"].isna().all() and set(table["part"]) == {"all"} and (table["n_val"] == 0).all()


def test_parts__are_columns():
    assert part_slices(None, 8) == {"all": slice(0, 8)}
    assert list(part_slices(3, 8)) == ["all", "rest", "prefix"]
    with pytest.raises(SettingsError, match="'suffix'"):
        part_columns("suffix", 3, 8)
    with pytest.raises(ShapeError, match="domains"):
        DomainImages(np.zeros((3, 2)), np.zeros(3, int), np.zeros(2, int), np.zeros(3, bool), (), ())

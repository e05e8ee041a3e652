"""The bases of a study, on the page Features: listed beside controls, fitted, removed, compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.bases.requests import add_basis, remove_basis
from core.bases.twins import twins
from core.config import BasisConfig
from core.jobs.commands import FitBasis, RemoveBasis
from core.jobs.progress import Progress
from core.store import open_study
from dashboard.cache.features import basis_reads
from tests.dashboard.conftest import all_text


@pytest.fixture(scope="module")
def made(full_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with principal components and random directions."""
    folder = tmp_path_factory.mktemp("bases") / "demo"
    shutil.copytree(full_study, folder)
    for kind, size in (("pca", 6), ("random", 12)):
        config = BasisConfig(kind=kind, size=size, k=3, seeds=1)
        add_basis(folder, None, config, Progress.silent(), device="cpu")
    return folder


@pytest.fixture
def served(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "demo")
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path))
    return tmp_path / "demo"


def test_twins__the_same_direction_whatever_its_sign_length_and_place():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(7, 5)).astype(np.float32)
    order = rng.permutation(7)
    other = one[order] * rng.choice([-3.0, 0.5], size=(7, 1))
    rows, cosines = twins(one, other)
    assert order[rows].tolist() == list(range(7))
    assert_allclose(cosines, 1, atol=1e-6)
    one[2], other[order == 3] = 0, 0
    rows, cosines = twins(one, other)
    assert np.isnan(cosines[2]) and cosines[3] < 0.999 and rows[3] != np.flatnonzero(order == 3)[0]


def test_panel__lists_bases_with_controls_also_where_nothing_is_computed_in_them(served, started, open_page):
    app = open_page("features", study="demo", basis="random", features_as="Bases")
    assert not app.exception
    text = all_text(app)
    study = open_study(served)
    for name in ("pca", "random"):
        assert f"**{name}**: {study.bases[name].card['size']} latents" in text
        assert f"{study.bases[name].card['r2_val']:.2f}" in text
    app.button(key="show_units").click().run()
    assert "basis" not in app.query_params and not started


def test_panel__fits_one_and_removes_one_through_the_launcher(served, started, open_page):
    app = open_page("features", study="demo", basis="pca", features_as="Bases")
    app.number_input(key="basis_size_topk").set_value(10)
    app.number_input(key="basis_k_topk").set_value(2)
    app.run()
    app.button(key="basis_fit").click().run()
    app.button(key="remove_pca").click().run()
    assert [command for command, _ in started] == [
        FitBasis(served, "topk", "topk", size=10, k=2),
        RemoveBasis(served, "pca"),
    ]
    assert {folder for _, folder in started} == {served} and "basis" not in app.query_params
    app.text_input(key="basis_name").set_value("../up").run()
    assert any("a name is up to 40 letters" in box.value for box in app.error)


def test_twins_of__units_are_the_axes(made):
    frame = basis_reads.twins_of(open_study(made), "pca", "units")
    decoder = open_study(made).vector("basis_pca_decoder")
    unit = np.abs(decoder) / np.linalg.norm(decoder, axis=1, keepdims=True)
    assert frame["cosine"].is_monotonic_decreasing and len(frame) == 6
    assert_allclose(frame.set_index("latent")["cosine"].sort_index(), unit.max(1), rtol=1e-6)


def test_removed_basis__is_missed_in_one_line_and_units_are_shown(served, open_page):
    remove_basis(served, "pca")
    app = open_page("features", study="demo", basis="pca")
    assert not app.exception and "basis" not in app.query_params
    assert sum("There is no basis 'pca'" in box.value for box in app.info) == 1

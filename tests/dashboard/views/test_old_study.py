"""Every page of a study that holds what left with 0.4.0."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.publish.summary import info
from core.store import open_study
from tests.contract.old_study import SHARED, make_both
from tests.dashboard.conftest import all_text
from tests.dashboard.views.test_pages import VIEWS, is_title_of
from tests.shared import made_once


@pytest.fixture(scope="session")
def both_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        return made_once(tmp_path_factory, "old", make_both)


@pytest.fixture
def served(studies, shelf, both_studies) -> Path:
    """The old study, served as `study_old`, and as `study_base` the same one without what left."""
    shelf.serve("study_base", both_studies / "base" / "study")
    return shelf.serve("study_old", both_studies / "old" / "study")


@pytest.mark.parametrize("view", VIEWS)
def test_view__stands(view, served, open_page):
    app = open_page(view, study="study_old")
    assert not app.exception and not app.error
    assert is_title_of(view, app.title[0].value)


@pytest.mark.parametrize("view", ["masks", "feature"])
def test_view__shows_what_it_does_without_what_left(view, served, open_page):
    old, base = (all_text(open_page(view, study=name)) for name in ("study_old", "study_base"))
    assert old.replace("study_old", "study_base") == base and len(base) > 300


def test_overview__names_what_is_no_longer_shown(served, open_page):
    said = all_text(open_page(study="study_old"))
    lines = [one["line"] for one in info(open_study(served))["no_longer_shown"]]
    assert lines and all(line in said for line in lines)


@pytest.mark.parametrize("view", ["features", "feature"])
def test_a_basis_of_two_encoders__has_its_pages(view, served, open_page):
    app = open_page(view, study="study_old", basis=SHARED)
    assert not app.exception and not app.error
    assert SHARED in all_text(app)


def test_a_link_to_a_sheet__still_opens_figures(served, open_page):
    app = open_page("figures", study="study_old", sheet="roc|baselines")
    assert not app.exception and not app.error

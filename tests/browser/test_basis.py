"""Reading a study in a basis: chosen in the sidebar, computed by a click, kept from page to page."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import expect

from core.bases.requests import add_basis, remove_basis
from core.config import BasisConfig
from core.store import open_study
from core.study.progress import Progress
from tests.browser.harness import settle

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("views/test_bases.py starts the same command")]


@pytest.fixture
def with_basis(served):
    """A study with a dictionary in which nothing has been computed."""
    folder = served / "in-basis"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(served / "demo", folder)
    config = BasisConfig(kind="topk", size=16, k=4, steps=120, seeds=2)
    add_basis(folder, "sae", config, Progress.silent(), device="cpu")
    yield folder
    shutil.rmtree(folder)


def test_basis__is_chosen_computed_by_a_click_kept_and_missed_in_one_line(visitor, address, with_basis):
    one = visitor()
    page = one.open(f"{address}/?study=in-basis")
    chooser = page.get_by_test_id("stSidebar").get_by_test_id("stSelectbox").filter(has_text="Features are")
    chooser.locator("[role=combobox]").click()
    page.get_by_role("option", name="sae: 16 latents").click()
    expect(page).to_have_url(re.compile("basis=sae"))
    expect(page.get_by_text("16 latents of sae")).to_be_visible()
    page.get_by_role("button", name="Run", exact=False).first.click()
    expect(page.get_by_text("Features: not run yet")).to_have_count(0, timeout=120_000)
    assert open_study(with_basis).in_basis("sae").state("features") == "done"
    settle(page)

    page.get_by_test_id("stSidebar").get_by_role("link", name="Features").click()
    expect(page).to_have_url(re.compile("/features.*basis=sae"))
    settle(page)
    page.get_by_role("link", name=re.compile("#|Latent ")).first.click()
    expect(page).to_have_url(re.compile("/feature.*basis=sae"))
    expect(page.get_by_text(re.compile(r"Latent sae/\d+: a direction"))).to_be_visible()

    there = page.url
    page.goto("about:blank")  # its pictures are gone, too
    remove_basis(with_basis, "sae")
    page.goto(there)
    expect(page.get_by_test_id("stAlert").first).to_contain_text("There is no basis 'sae' in this study")
    assert "basis" not in one.query()

"""Search in a real Chromium, from a study without an index to results within a second, with the real CLIP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from core.concepts import search
from core.pipeline import run as pipeline
from core.store import open_study
from core.study.progress import Progress
from tests.browser.harness import dashboard, settle
from tests.browser.test_dashboard import TILE

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("views/test_search.py asks the same")]
TEXT = "a yellow bird on grass"
GALLERY = ".st-key-images_gallery"
LOADED = 120_000  # milliseconds in which a busy machine loads CLIP, or embeds the images


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies of few drawn images: `world` without the search index, and `indexed`, which has it."""
    studies: Path = tmp_path_factory.mktemp("searched")
    world = {"images": "glyphworld?train=60&val=40&size=64", "encoder": "asset:simclr_glyphworld"}
    pipeline.run_step("embed", studies / "world", world | {"workers": 0}, Progress.silent())
    shutil.copytree(studies / "world", studies / "indexed")
    pipeline.run_step("search", studies / "indexed", {"workers": 0}, Progress.silent())
    return studies / "world"


@pytest.fixture(scope="module")
def address(chrome: object, folder: Path) -> Iterator[str]:
    with dashboard(folder.parent) as url:
        yield url


def field(page):
    return page.get_by_role("textbox", name="Search", exact=True)


def badges(page) -> list[str]:
    return page.locator(f"{GALLERY} {TILE}").evaluate_all(
        "tiles => tiles.map(tile => tile.textContent.match(/-?[01][.]\\d\\d/)?.[0] ?? '')"
    )


def test_search__leaves_the_pictures_where_they_are(visitor, address, folder):
    one = visitor()
    page = one.open(f"{address}/images?study=indexed")
    first = page.locator(f"{GALLERY} {TILE}").first
    top = first.bounding_box()["y"]
    field(page).fill(TEXT)
    field(page).press("Enter")
    expect(page.get_by_text(f"nearest to “{TEXT}”")).to_be_visible(timeout=LOADED)
    settle(page)
    assert first.bounding_box()["y"] == top


def test_search__a_text_an_image_and_a_picture(visitor, address, folder, tmp_path):
    one = visitor()
    page = one.open(f"{address}/images?study=world")
    shown = page.locator(f"{GALLERY} {TILE}")
    expect(shown).to_have_count(40)
    field(page).fill(TEXT)
    field(page).press("Enter")
    expect(page.get_by_role("button", name="Search with CLIP")).to_be_visible()
    expect(shown).to_have_count(0)
    page.get_by_role("button", name="Search with CLIP").click()
    page.get_by_role("button", name="Prepare the search").last.click()
    expect(page.get_by_text("CLIP is reading the images.")).to_be_visible()
    expect(page.get_by_text("There are none.")).to_have_count(0)
    expect(shown).to_have_count(40)  # the page can be used meanwhile
    said = page.get_by_text(f"nearest to “{TEXT}” for CLIP")
    expect(said).to_be_visible(timeout=LOADED)
    settle(page)

    study = open_study(folder)
    assert study.state("search") == "done" and one.query()["search"] == [TEXT]
    from core.concepts.clip import load_clip

    clip = load_clip("asset:glyphworld")
    query = clip.embed_texts([TEXT])[0]
    _, cosines = search.most_alike(study.array(search.CLIP_IMAGES), query, 40, among=study.is_val)
    assert badges(page) == [f"{cosine:.2f}" for cosine in cosines]

    field(page).fill("a red ball")
    field(page).press("Enter")
    expect(page.get_by_text("nearest to “a red ball” for CLIP")).to_be_visible()
    settle(page)

    row = int(np.flatnonzero(study.is_val)[5])
    study.image(row).save(tmp_path / "mine.png")
    page.get_by_role("button", name="Picture").first.click()
    page.locator("input[type=file]").first.set_input_files(str(tmp_path / "mine.png"))
    expect(page.get_by_text("most like your picture for CLIP")).to_be_visible()
    expect(page.locator("input[type=file]")).to_have_count(0)  # the popover has closed
    settle(page)
    assert badges(page)[0] == "1.00" and "picture" in one.query()
    page.get_by_role("button", name="Like mine.png").click()
    expect(field(page)).to_be_visible()

    name = str(study.images["image_id"].iat[row])
    page = one.open(f"{address}/image?study=world&image={name}&image_part=Similar+images&alike_space=CLIP")
    page.get_by_role("button", name="Search for more like this").click()
    expect(page.get_by_text("most like this image of")).to_be_visible()
    settle(page)
    _, cosines = search.like_image(study, row, 39, space=search.CLIP_IMAGES, among=study.is_val)
    assert badges(page) == [f"{cosine:.2f}" for cosine in cosines]
    assert one.query()["like"] == [name]


def test_search__a_link_opens_with_its_results(visitor, address):
    one = visitor()
    page = one.open(f"{address}/images?study=indexed&search=a+blue+fish&where=split%3Dtrain")
    said = page.get_by_text("All 60 images, those nearest to “a blue fish” for CLIP first")
    expect(said).to_be_visible(timeout=LOADED)
    settle(page)
    shown = [float(badge) for badge in badges(page)]
    assert len(shown) == 48 and shown == sorted(shown, reverse=True)
    assert one.query()["search"] == ["a blue fish"]
    assert page.get_by_role("button", name="Search with CLIP").count() == 0

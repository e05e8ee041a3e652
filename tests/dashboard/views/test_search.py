"""Search by text, more like this, marked images side by side: on full and half-finished studies."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from core.jobs.commands import SearchImages
from core.jobs.jobs import Job
from core.search import search
from core.slices import saved_slices
from core.storage.writer import write_study
from core.store import open_study
from dashboard.panels import search_box
from dashboard.panels.image import similar as similar_images
from tests.dashboard.conftest import all_text, forget, tiles


@pytest.fixture
def searched(studies):
    """`demo` as it is after a search with CLIP for "a cat", with captions of three images."""
    folder = studies / "demo"
    study = open_study(folder)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(study.n_images, 6)).astype(np.float16)
    ids = study.images["image_id"]
    said = [(4, "a red ball", 0.5), (9, "red balls", 0.8), (2, "a blue wall", 0.3)]
    with write_study(folder) as writer:
        with writer.step("concepts", {}) as step:
            frame = pd.DataFrame(said, columns=["row", "caption", "cosine"])
            step.table("captions", frame.assign(image_id=[ids[row] for row in frame["row"]]))
        with writer.step(search.CLIP_IMAGES, {"clip": "tiny"}, ("images",)) as step:
            step.vector(search.CLIP_IMAGES, vectors)
            step.summary = {"clip": "tiny", "clip_fingerprint": "abc", "n_missing": 1}
    study = open_study(folder)
    search.keep_text(study, "a cat", rng.normal(size=6))
    return study


def ids(app, key="images_gallery") -> list[int]:
    return [tile["id"] for tile in tiles(app, key)]


def test_search__what_clip_read_is_ranked_by_its_cosine(searched, open_page):
    app = open_page("images", study="demo", search="a cat")
    rows, cosines = search.by_text(searched, "a cat", 48, among=searched.is_val)
    assert ids(app) == rows.tolist()
    assert tiles(app, "images_gallery")[0]["badge"] == f"{cosines[0]:.2f}"
    assert "for CLIP" in all_text(app) and "1 images could not be read" in all_text(app)
    assert not [button for button in app.button if button.key == "search_clip"]


def test_search__within_the_filter(searched, open_page):
    app = open_page("images", study="demo", search="a cat", where="split=train")
    rows = search.by_text(searched, "a cat", 48, among=~searched.is_val)[0]
    assert ids(app) == rows.tolist() and not searched.is_val[rows].any()


def test_search__captions_stand_in_until_clip_was_asked_and_the_page_says_so(searched, open_page):
    app = open_page("images", study="demo", search="red ball", where="split=train")
    assert ids(app) == [9, 4]
    assert "CLIP has not read this text itself" in all_text(app)
    assert [button for button in app.button if button.key == "search_clip"]


def test_search__nothing_said_offers_clip(searched, open_page):
    app = open_page("images", study="demo", search="zebra <b>")
    assert not app.exception
    assert "No stored caption" in all_text(app)
    assert [button for button in app.button if button.key == "search_clip"]


def test_search__starts_a_job_with_the_text_as_text(studies, open_page, started, trusted):
    app = open_page("images", study="demo", search="--json red")
    app.button(key="search_clip").click().run()
    assert started == [(SearchImages(studies / "demo", "--json red"), studies / "demo")]


def test_search__not_started_by_a_click_for_a_study_that_names_code(studies, open_page):
    app = open_page("images", study="demo", search="red")
    assert app.button(key="search_clip").disabled


def test_search__a_failed_job_says_why(studies, open_page, monkeypatch):
    arguments = ("search", str(studies / "demo"), "--", "red")
    command = ("python", "-m", "core", *arguments)
    failed = Job(studies / "demo", command=command, state="failed", error="CLIP cannot be loaded")
    monkeypatch.setattr(search_box, "read_job", lambda folder: failed)
    app = open_page("images", study="demo", search="red")
    assert "CLIP cannot be loaded" in " ".join(box.value for box in app.warning)


def test_search__without_words_is_no_search(studies, open_page):
    app = open_page("images", study="demo", search=" ?! ")
    assert len(ids(app)) == 40 and not [button for button in app.button if button.key == "search_clip"]


@pytest.mark.parametrize("space", ["This encoder", "CLIP"])
def test_more_like_this__in_either_space(searched, open_page, space):
    app = open_page("images", study="demo", image=searched.images["image_id"].iat[3], alike_space=space)
    assert not app.exception
    name = "representations" if space == "This encoder" else search.CLIP_IMAGES
    assert (
        ids(app, "detail_alike")
        == search.like_image(searched, 3, similar_images.SHOWN, space=name)[0].tolist()
    )


def test_more_like_this__of_a_large_study_only_when_asked(studies, open_page, monkeypatch):
    monkeypatch.setattr(similar_images, "AT_ONCE", 10)
    app = open_page("images", study="demo", image=open_study(studies / "demo").images["image_id"].iat[3])
    assert not [one for one in app.get("bidi_component") if one.proto.id.endswith("detail_alike")]
    app.toggle(key="alike_go").set_value(True).run()
    assert len(ids(app, "detail_alike")) == similar_images.SHOWN


def marked(study, n) -> list[str]:
    return study.images["image_id"].iloc[:n].tolist()


def test_marked__side_by_side_with_their_numbers(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("images", study="demo", picked=marked(study, 3))
    app.toggle(key="beside").set_value(True).run()
    assert not app.exception
    assert ids(app, "beside_gallery") == [0, 1, 2]
    table = app.dataframe[0].value
    assert table.columns.tolist()[1:] == marked(study, 3)
    q = study.table("quality")["q_score"].iloc[1]
    assert table.loc[table[""] == "Q-Score"].iloc[0, 2] == f"{q:.4g}"


@pytest.mark.parametrize("n", [1, 7])
def test_marked__one_or_many_have_no_side_by_side(studies, open_page, n):
    app = open_page("images", study="demo", picked=marked(open_study(studies / "demo"), n))
    assert not [toggle for toggle in app.toggle if toggle.key == "beside"]
    assert ("Up to 6" in all_text(app)) == (n > 6)


def test_marked__with_heatmaps(seen, open_page):
    study = open_study(seen)
    rows = np.flatnonzero(study.is_val)[:2]
    names = study.images["image_id"].iloc[rows].tolist()
    app = open_page("images", study="seen", picked=names)
    app.toggle(key="beside").set_value(True).run()
    assert not app.exception
    shown = tiles(app, "beside_gallery")
    assert all(tile["beside"][0].startswith("overlay/seen/") for tile in shown)
    app.slider(key="beside_opacity").set_value(20).run()
    assert all("opacity=0.2" in tile["beside"][0] for tile in tiles(app, "beside_gallery"))


def test_marked__become_a_slice(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("images", study="demo", picked=marked(study, 4))
    app.text_input(key="marked_name").set_value("my four")
    next(button for button in app.button if button.label == "Save 4 images").click().run()
    assert not app.exception
    assert np.flatnonzero(saved_slices.get(study.path, "my four").mask(study)).tolist() == [0, 1, 2, 3]


def test_detail__picture_can_be_magnified(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("images", study="demo", image=study.images["image_id"].iat[0])
    found = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith("-detail_picture")]
    assert json.loads(found[0].json)["zoom"] is True


def test_search_and_alike__half_finished_and_unlabelled(studies, unlabelled_study, open_page):
    shutil.copytree(unlabelled_study, studies / "bare")
    forget(studies / "demo", "probe", "quality", "neighbours", "failures")
    for name in ("demo", "bare"):
        image = open_study(studies / name).images["image_id"].iat[0]
        app = open_page("images", study=name, search="red", image=image, picked=[image])
        assert not app.exception and not app.error
        assert len(ids(app, "detail_alike")) == similar_images.SHOWN

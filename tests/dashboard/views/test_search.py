"""Search by text, more like this, marked images side by side: on full and half-finished studies."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from core.concepts import search
from core.concepts.photograph_clips import FETCH_CLIP
from core.errors import ClipError
from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import open_study
from core.study import resident, trace_changes, trace_limits
from core.study.commands import RunStep
from core.study.jobs import Job
from core.study.traces import read_traces
from core.study.writer import write_study
from dashboard.cache import search_reads
from dashboard.components import widgets
from dashboard.jobs import resident_models
from dashboard.panels import detail as similar_images
from dashboard.panels import search_box
from tests.concepts.nearest import by_text
from tests.dashboard.conftest import all_text, forget, tiles, unescaped, write_progress


@pytest.fixture
def searched(studies):
    """`demo` with an index, the text "a cat", which needs no CLIP any more, and captions of three images."""
    return make_searched(studies / "demo", "asset:glyphworld", fingerprint="abc")


def make_searched(folder, clip, *, fingerprint, width=6):
    study = open_study(folder)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(study.n_images, width)).astype(np.float16)
    ids = study.images["image_id"]
    said = [(4, "a red ball", 0.5), (9, "red balls", 0.8), (2, "a blue wall", 0.3)]
    with write_study(folder) as writer:
        with writer.step("concepts", {}) as step:
            frame = pd.DataFrame(said, columns=["row", "caption", "cosine"])
            step.table("captions", frame.assign(image_id=[ids[row] for row in frame["row"]]))
        with writer.step("search", {"clip": None}, ("images",)) as step:
            step.vector(search.CLIP_IMAGES, vectors)
            step.summary = {"clip": clip, "clip_fingerprint": fingerprint, "n_missing": 1}
    study = open_study(folder)
    search.keep_text(study, "a cat", rng.normal(size=width))
    return study


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """The state of CLIP's process, which these tests set; one test has a real one."""
    found = {"state": resident_models.ModelState("loading")}

    def prepare(study):
        return found["state"] if search.has_index(study) else resident_models.ModelState("none")

    monkeypatch.setattr(resident_models, "prepare_clip", prepare)
    return found


@pytest.fixture
def captioned(searched):
    """The same study without the index."""
    forget(searched.path, "search")
    return open_study(searched.path)


def buttons(app, key) -> list:
    return [button for button in app.button if button.key == key]


def ids(app, key="images_gallery") -> list[int]:
    return [tile["id"] for tile in tiles(app, key)]


def test_search__what_clip_read_is_ranked_by_its_cosine(searched, open_page):
    app = open_page("images", study="demo", search="a cat")
    found = by_text(searched, "a cat", 48, among=searched.is_val)
    assert found is not None
    rows, cosines = found
    assert ids(app) == rows.tolist()
    assert tiles(app, "images_gallery")[0]["badge"] == f"{cosines[0]:.2f}"
    assert "**40** images" in all_text(app)
    assert "1 image" in all_text(app)
    assert not buttons(app, "search_prepare")


@pytest.mark.parametrize("generic", [1, -1])  # words that fit anything: like the text, or unlike it
def test_search__where_nothing_fits_says_so(searched, open_page, process, monkeypatch, generic):
    seen = searched.array(search.CLIP_IMAGES).rows(np.flatnonzero(searched.is_val)[:1])[0]
    signs = dict.fromkeys(search_reads.GENERIC, generic)
    monkeypatch.setattr(resident_models, "text_vector", lambda study, text: signs.get(text, 1) * seen)
    process["state"] = resident_models.ModelState("ready")
    app = open_page("images", study="demo", search="a boat")
    first = [True for one in app.caption if one.value.startswith("**No image fits this text well**")]
    assert first == [True][: generic > 0]
    assert ids(app)  # what is nearest is shown all the same


def test_search__what_is_kept_is_judged_before_clip_is_loaded(searched, open_page):
    seen = searched.array(search.CLIP_IMAGES).rows(np.flatnonzero(searched.is_val)[:1])[0]
    for text in ("a boat", *search_reads.GENERIC):
        search.keep_text(searched, text, seen)
    app = open_page("images", study="demo", search="a boat")
    assert any(one.value.startswith("**No image fits this text well**") for one in app.caption)


def test_search__words_that_clip_does_not_know_are_named(searched, open_page, process, monkeypatch):
    monkeypatch.setattr(resident_models, "text_vector", lambda study, text: np.ones(6, np.float32))
    process["state"] = resident_models.ModelState("ready")
    app = open_page("images", study="demo", search="a walrus on a *blorb*")
    first = [one.value for one in app.caption if one.value.startswith("**The CLIP of this study")]
    assert [unescaped(line).partition(".")[0] for line in first] == [
        "**The CLIP of this study does not know “walrus” or “blorb”"
    ]
    assert ids(app)


def test_search__within_the_filter(searched, open_page):
    app = open_page("images", study="demo", search="a cat", where="split=train")
    found = by_text(searched, "a cat", 48, among=~searched.is_val)
    assert found is not None
    rows = found[0]
    assert ids(app) == rows.tolist() and not searched.is_val[rows].any()


def test_search__while_clip_loads_the_page_stays_as_it_is(searched, open_page, process, monkeypatch):
    process["state"] = resident_models.ModelState("loading", seconds=7.2)
    app = open_page("images", study="demo", search="a dog")
    assert "There are none." not in all_text(app)
    assert f"{search_box.LOADING}: 7 s so far" in all_text(app)
    assert ids(app) == np.flatnonzero(searched.is_val)[:48].tolist()
    assert "** correct" not in all_text(app)  # that of all images is not that of those looked for
    vector = np.arange(6, dtype=np.float32)
    monkeypatch.setattr(resident_models, "text_vector", lambda study, text: vector)
    process["state"] = resident_models.ModelState("ready")
    app.run()
    rows, _ = search.most_alike(searched.array(search.CLIP_IMAGES), vector, 48, among=searched.is_val)
    assert ids(app) == rows.tolist() and search_box.LOADING not in all_text(app)


@pytest.mark.parametrize("state", ["failed", "refused"])
def test_search__why_clip_cannot_read_the_text_and_what_captions_say(searched, open_page, process, state):
    process["state"] = resident_models.ModelState(state, "no *such* CLIP")
    app = open_page("images", study="demo", search="red ball", where="split=train")
    assert "CLIP cannot read this text: no *such* CLIP" in unescaped(app.warning[0].value)
    assert ids(app) == [9, 4] and "whose nearest captions say “red ball”" in all_text(app)


def test_search__another_clip_than_that_of_the_index_offers_to_prepare_it_again(searched, open_page, process):
    process["state"] = resident_models.ModelState("failed", resident_models.CLIP_CHANGED)
    app = open_page("images", study="demo", search="red ball")
    assert "prepare the search again" in app.warning[0].value and buttons(app, "search_prepare")


def test_search__only_where_captions_hold_the_words(searched, open_page, process, monkeypatch):
    process["state"] = resident_models.ModelState("ready")
    monkeypatch.setattr(resident_models, "text_vector", lambda study, text: np.ones(6, np.float32))
    asked = {"search": "red ball", "where": "split=train", "search_captions": "true"}
    app = open_page("images", study="demo", **asked)
    assert sorted(ids(app)) == [4, 9] and "whose captions contain the words" in all_text(app)


def test_search__without_an_index_captions_stand_in_and_the_page_says_so(captioned, open_page):
    app = open_page("images", study="demo", search="red ball", where="split=train")
    assert ids(app) == [9, 4]
    assert "**2 images**" in all_text(app)
    assert buttons(app, "search_prepare")


def test_search__without_an_index_what_no_caption_and_no_class_has_is_not_found(captioned, open_page):
    app = open_page("images", study="demo", search="zebra <b>")
    assert not app.exception and search_box.FINDS_NONE in all_text(app)
    assert "only captions and names of classes are searched: none here has “zebra <b>”" in all_text(app)
    assert buttons(app, "search_prepare")


def test_search__captions_that_came_with_the_images_are_searched_and_shown(studies, open_page):
    study = open_study(studies / "demo")
    rows = np.flatnonzero(study.is_val)[[5, 2]]
    ids_held = study.images["image_id"].iloc[rows].tolist()
    with write_study(study.path) as writer, writer.step("captions of mine", {}) as step:
        frame = pd.DataFrame({"image_id": ids_held, "caption": ["a bee on *clover*", "two bees"]})
        step.table("attributes", frame)
    app = open_page("images", study="demo", search="bee")
    assert ids(app) == sorted(rows.tolist()) and "**2 images** whose captions say “bee”" in all_text(app)
    for page in ("images", "image"):
        app = open_page(page, study="demo", image=ids_held[0])
        assert "Caption: a bee on *clover*" in unescaped(all_text(app)), page


def test_search__without_an_index_names_of_classes_stand_in(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("images", study="demo", search="Be")
    bees = np.flatnonzero(study.images["label"].eq("bee") & study.is_val)
    assert ids(app) == bees.tolist() and not any(tile["badge"] for tile in tiles(app, "images_gallery"))
    assert f"**{len(bees)} images** of classes with “Be” in their name" in all_text(app)
    assert app.text_input(key=search_box.FIELD).placeholder == f"A class, as in “{study.class_names[0]}”"


def test_search__one_button_prepares_it(studies, open_page, started, trusted):
    app = open_page("images", study="demo", search="--json red")
    app.button(key="search_prepare").click().run()
    assert started == [(RunStep("search", studies / "demo"), studies / "demo")]


def test_search__while_it_is_prepared_the_page_says_so_and_shows_images(captioned, open_page):
    write_progress(captioned.path, command=["python", "-m", "core", "search", "x"], stage="search")
    app = open_page("images", study="demo", search="zebra")
    assert search_box.READING in all_text(app) and "There are none." not in all_text(app)
    assert len(ids(app)) == 40 and not buttons(app, "search_prepare")


def test_search__not_started_by_a_click_for_a_study_that_names_code(studies, open_page):
    app = open_page("images", study="demo", search="red")
    assert app.button(key="search_prepare").disabled
    assert "The button is off: " in all_text(app) and search_box.NOT_HERE in all_text(app)
    commands = [line for code in app.code for line in code.value.splitlines() if line[0] != "#"]
    assert [line.split()[3] for line in commands].count("search") == 4  # also in the popover
    assert commands.count(FETCH_CLIP) == 2  # what is not here is got by a typed command, not by a click
    assert sum("--clip MODEL@FILE" in line for line in commands) == 2


def test_search__a_failed_job_says_why(studies, open_page, monkeypatch):
    command = ("python", "-m", "core", "search", str(studies / "demo"))
    failed = Job(studies / "demo", command=command, state="failed", error="CLIP cannot be loaded")
    monkeypatch.setattr(search_box, "read_job", lambda folder: failed)
    app = open_page("images", study="demo", search="red")
    assert "CLIP cannot be loaded" in " ".join(box.value for box in app.warning)


@pytest.mark.slow
def test_like__an_image_of_the_study_within_the_filter(searched, open_page):
    name = str(searched.images["image_id"].iat[3])
    for space, label in (("representations", "This encoder"), (search.CLIP_IMAGES, "CLIP")):
        app = open_page("images", study="demo", like=name, like_space=label, image=name)
        found = search.like_image(searched, 3, 48, space=space, among=searched.is_val)[0]
        kind = searched.images["label"].iat[3]
        assert ids(app) == found.tolist() and f"most like this image of {kind} for" in all_text(app)
    app.button(key="search_clear").click().run()
    assert ids(app) == np.flatnonzero(searched.is_val)[:48].tolist() and "like" not in app.query_params


@pytest.mark.parametrize("part", ["like", "picture"])
def test_like__a_link_to_what_is_not_there_is_dropped_with_a_note(searched, open_page, part):
    app = open_page("images", study="demo", **{part: "nothing"})
    assert not app.exception and part not in app.query_params and len(ids(app)) == 40
    assert {"like": "holds no image 'nothing'", "picture": "is not kept. Upload it again"}[part] in all_text(
        app
    )


def test_picture__is_searched_by_and_forgotten(searched, open_page, process, monkeypatch):
    process["state"] = resident_models.ModelState("ready")
    vector = np.linspace(-1, 1, 6, dtype=np.float32)
    monkeypatch.setattr(resident_models, "picture_vector", lambda study, data: (vector, b"small"))
    digest = search_reads.keep_picture(searched, "my *bird*.png", b"pixels")
    app = open_page("images", study="demo", picture=digest)
    found = search.most_alike(searched.array(search.CLIP_IMAGES), vector, 48, among=searched.is_val)[0]
    assert ids(app) == found.tolist()
    assert unescaped(app.button(key="search_clear").label) == "Like my *bird*.png"
    held = search_reads.picture_of(searched, digest)
    assert held is not None and b"pixels" not in repr(held).encode()


def test_picture__uploaded_in_the_box(searched, open_page, process, monkeypatch):
    vector, trouble = np.linspace(1, -1, 6, dtype=np.float32), "the picture cannot be read: truncated"

    def read(study, data):
        if data != b"good":
            raise ClipError(trouble)
        return vector, b""

    monkeypatch.setattr(resident_models, "picture_vector", read)
    app = open_page("images", study="demo")
    app.get("file_uploader")[0].upload("bad.png", b"bad", "image/png").run()
    assert trouble[1:] in all_text(app)
    app.get("file_uploader")[0].upload("good.png", b"good", "image/png").run()
    found = search.most_alike(searched.array(search.CLIP_IMAGES), vector, 48, among=searched.is_val)[0]
    assert ids(app) == found.tolist() and not app.exception


@pytest.mark.parametrize("clip", ["ViT-B-32@/etc/passwd", "hf-hub:evil/model", "python:os:system"])
def test_search__the_clip_of_a_stranger_is_not_loaded(studies, open_page, monkeypatch, clip):
    monkeypatch.undo()
    monkeypatch.setenv("PEREGRINE_STUDIES", str(studies))
    make_searched(studies / "demo", clip, fingerprint="abc")
    started: list[object] = []
    monkeypatch.setattr(resident.subprocess, "Popen", lambda *words, **options: started.append(words))
    app = open_page("images", study="demo", search="red ball", where="split=train")
    assert not started and not app.exception
    assert "CLIP cannot read this text: This study" in unescaped(app.warning[0].value)
    assert ids(app) == [9, 4]  # what captions alone find


@pytest.mark.exhaustive("tests/concepts/test_resident.py asks a real process")
@pytest.mark.slow
def test_search__by_a_real_process(studies, open_page, monkeypatch):
    from core.concepts.clip import load_clip

    monkeypatch.undo()
    monkeypatch.setenv("PEREGRINE_STUDIES", str(studies))
    clip = load_clip("asset:glyphworld")
    study = make_searched(studies / "demo", clip.name, fingerprint=clip.fingerprint, width=clip.width)
    app = open_page("images", study="demo")  # begins to load
    assert resident.resident("clip", clip.name).wait() == "ready"
    app = open_page("images", study="demo", search="a red ball on grass")
    wanted = clip.embed_texts(["a red ball on grass"])[0]
    rows, _ = search.most_alike(study.array(search.CLIP_IMAGES), wanted, 48, among=study.is_val)
    assert ids(app) == rows.tolist()
    changed = make_searched(studies / "demo", clip.name, fingerprint="another", width=clip.width)
    app = open_page("images", study="demo", search="a blue ball on grass")
    assert resident_models.CLIP_CHANGED in unescaped(app.warning[0].value) and changed.is_val.any()
    resident.end_all()


def test_search__without_words_is_no_search(studies, open_page):
    app = open_page("images", study="demo", search=" ?! ")
    assert len(ids(app)) == 40 and not buttons(app, "search_prepare")


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
    assert app.toggle(key="beside").disabled


def test_marked__with_heatmaps(seen, open_page):
    study = open_study(seen)
    rows = np.flatnonzero(study.is_val)[:2]
    names = study.images["image_id"].iloc[rows].tolist()
    app = open_page("images", study="seen", picked=names)
    app.toggle(key="beside").set_value(True).run()
    assert not app.exception
    shown = tiles(app, "beside_gallery")
    assert all(tile["beside"][0].startswith("overlay/seen/") for tile in shown)


def test_marked__become_a_slice(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("images", study="demo", picked=marked(study, 4))
    app.session_state["images_bar_save"] = True  # AppTest has no click for a popover
    app.run().text_input(key="images_bar_save_name").set_value("my four")
    next(button for button in app.button if button.label == "Save 4 images").click().run()
    assert not app.exception
    assert np.flatnonzero(Slice.parse(saved_slices.texts(study.path)["my four"]).mask(study)).tolist() == [
        0,
        1,
        2,
        3,
    ]
    app.button(key="images_bar_undo").click().run()
    assert not app.exception and "my four" not in saved_slices.texts(study.path)


def test_marked__get_a_note_and_what_is_refused_is_said(studies, open_page):
    study = open_study(studies / "demo")
    ids = marked(study, 2)
    trace_changes.set_note(study, ids[0], "x" * trace_limits.LONGEST_NOTE)
    app = open_page("images", study="demo", picked=ids[1])
    app.session_state["images_bar_note"] = True
    app.run().text_area(key="images_bar_note_text").set_value("blurred")
    app.button(key="images_bar_note Add to 1 image").click().run()
    assert not app.exception and read_traces(study.path).images[ids[1]].note == "blurred"
    app = open_page("images", study="demo", picked=ids)
    app.session_state["images_bar_note"] = True
    app.run().text_area(key="images_bar_note_text").set_value("dark")
    app.button(key="images_bar_note Add to 2 images").click().run()
    assert not app.exception and "A note has at most" in app.warning[0].value
    assert read_traces(study.path).images[ids[1]].note == "blurred"  # all or none


def test_marked__say_that_the_list_no_longer_holds_them(studies, open_page):
    study = open_study(studies / "demo")
    ids, other = marked(study, 3), study.images.loc[study.is_val, "image_id"].iat[0]
    for one in (*ids, other):
        trace_changes.set_tags(study, one, ["odd"])
    app = open_page("images", study="demo", where="split=train tag=odd", picked=ids)
    assert "**3** marked" in all_text(app) and "listed" not in all_text(app)
    for one in ids:  # as *Undo* does
        trace_changes.set_tags(study, one, [])
    said = all_text(app.run())
    assert "**No images**" in said and "**3** marked  \n:small[none listed]" in said


def test_detail__picture_can_be_magnified(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page("images", study="demo", image=study.images["image_id"].iat[0])
    found = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith("-detail_picture")]
    assert json.loads(found[0].json)["zoom"] is True


def test_search_and_alike__half_finished_and_unlabelled(studies, shelf, unlabelled_study, open_page):
    shelf.serve("bare", unlabelled_study)
    forget(studies / "demo", "probe", "quality", "neighbours", "failures")
    for name in ("demo", "bare"):
        image = open_study(studies / name).images["image_id"].iat[0]
        app = open_page("images", study=name, search="red", image=image, picked=[image])
        assert not app.exception and not app.error
        assert len(ids(app, "detail_alike")) == similar_images.SHOWN


def test_more_like_this__goes_to_the_search(searched, open_page):
    name = str(searched.images["image_id"].iat[3])
    part = "Similar images"
    app = open_page("image", study="demo", image=name, alike_space="CLIP", image_part=part)
    app.button(key="alike_search").click().run()
    assert (app.query_params["like"], app.query_params["like_space"]) == (name, "CLIP")
    found = search.like_image(searched, 3, 48, space=search.CLIP_IMAGES, among=searched.is_val)[0]
    assert ids(app) == found.tolist()


def test_search_by_picture__before_clip_has_read_the_images_leads_to_the_encoder_itself(captioned, open_page):
    app = open_page("images", study="demo")
    assert not app.exception and buttons(app, "search_prepare_picture")
    assert "try_picture" in [one.proto.page for one in app.get("page_link")]


def test_search__that_finds_nothing_does_not_blame_the_filter(studies, open_page):
    text = all_text(open_page("images", study="demo", search="zzz", where="label=ant"))
    assert search_box.FINDS_NONE in text
    assert widgets.NO_MATCH not in text and "Counted" not in text
    assert "Counted: the 10 images that" in all_text(open_page("images", study="demo", search="ant"))


@pytest.mark.parametrize("query", [{"like": "val/000085"}, {"search": "a cat"}])
def test_search__of_a_filter_without_images_says_so(searched, open_page, query):
    app = open_page("images", study="demo", where="q_score=900..", **query)
    text = all_text(app)
    assert not app.exception and widgets.NO_MATCH in text
    assert not [one for one in app.get("bidi_component") if one.proto.id.endswith("-images_gallery")]
    assert search_box.NOTHING_TO_COMPARE not in text

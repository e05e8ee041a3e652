"""The page of an image: of the study at once, of a brought picture through a job without traces."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from core.analysis.predictor import predictor_of_images
from core.common.formatting import signed
from core.common.records import Record
from core.concepts import blame
from core.errors import JobError
from core.measures.slice_features import feature_classes
from core.pictures.decomposition import stored
from core.pictures.of_image import look_at
from core.research.visual_tokens_beside_study import keep_tables
from core.research.visual_tokens_graph import Node, SceneGraph
from core.store import Study, open_study
from dashboard.cache import reads
from dashboard.cache.tried_reads import nearest_train
from dashboard.components import widgets
from dashboard.jobs import launcher
from dashboard.panels.detail import (
    OTHER,
    UNLIKE_ALL,
    how_alike,
    in_the_study,
    mostly_covered,
    same_class_words,
)
from dashboard.panels.research import distinct_graphs
from tests.dashboard.conftest import all_text, forget, grid, spec, tiles
from tests.sentences import as_record, numbers


def mistake(study) -> int:
    wrong = ~study.table("probe")["correct"].astype("boolean").fillna(True).to_numpy(bool)
    return int(np.flatnonzero(wrong & study.is_val)[0])


def opened(open_page, study, row: int, part: str = "Crops in words"):
    return open_page("image", study="seen", image=str(study.images["image_id"].iat[row]), image_part=part)


def looked(study, row: int):
    return look_at(study, predictor_of_images(study), row)


def looked_at(app) -> dict:
    """What the list of features and the pictures that it is for were given."""
    (listed,) = [one for one in components(app) if "ends" in one]
    (views,) = [one for one in components(app) if "overlay" in one]
    assert views["views"] == listed["views"]
    return views | listed


def components(app) -> list[dict]:
    return [json.loads(one.proto.json) for one in app.get("bidi_component") if one.proto.json]


def test_features__are_those_that_push_most_and_each_shows_where_it_looks(worded, open_page):
    row = mistake(worded)
    app = opened(open_page, worded, row, "Features")
    assert not app.exception
    decided = looked(worded, row)
    table = decided.features
    assert f"**{decided.answer}**" in all_text(app)
    assert f"**{decided.rival}**" in all_text(app)
    shown = looked_at(app)
    first = table.head(len(shown["rows"]))
    assert [int(one["id"]) for one in shown["rows"]] == first["feature"].tolist()
    assert shown["ends"] == [decided.rival, decided.answer]
    unlisted = decided.lead - float(
        first["push"].to_numpy().sum()
    )  # so that bars and sentence add up to the lead
    assert f"features that are not listed add {signed(unlisted, 2)}:" in all_text(app)
    share = 1 - unlisted / decided.lead
    assert (f"list explains {100 * share:.0f} %" in all_text(app)) == (0 < share <= 1)
    most = first["push"].abs().max()
    np.testing.assert_allclose([one["push"] for one in shown["rows"]], first["push"] / most)
    stored_maps = set(worded.heatmap_reader.features_of(row).tolist())
    for one in shown["rows"]:
        assert bool(one["src"]) == (int(one["id"]) in stored_maps)
        assert one["examples"] and all(
            f"features={one['id']}" in src or "thumb" in src for src in one["examples"]
        )
        assert one["href"].startswith("/feature?study=seen") and one["href"].endswith(f"feature={one['id']}")


def test_features__a_note_says_which_fire_or_that_none_does(worded, open_page):
    notes = {True: "Bold features fire on this image.", False: "None of them fires on this image"}
    rows = {}
    for row in range(worded.n_images):
        rows.setdefault(bool(looked(worded, row).features["fires"].head(14).any()), row)
    assert len(rows) == 2
    for fires, row in rows.items():
        text = all_text(opened(open_page, worded, row, "Features"))
        assert notes[fires] in text and notes[not fires] not in text


def test_features__without_words_are_told_by_the_classes_that_they_fire_on(worded, open_page):
    rows = looked_at(opened(open_page, worded, mistake(worded), "Features"))["rows"]
    bare = {int(one["id"]): one["note"] for one in rows if one["title"] == f"Feature {one['id']}"}
    known = feature_classes(worded)
    assert bare and bare == {feature: known[feature].words if feature in known else "" for feature in bare}
    assert any(note.startswith(("mostly ", "most often ", "fires on ")) for note in bare.values())
    worded_ones = [one for one in rows if int(one["id"]) not in bare]
    assert all(one["note"] == f"#{one['id']}" for one in worded_ones)


@pytest.mark.parametrize("part", ["Heatmaps and masks", "Similar images", "Scene graph", "Scores"])
def test_other_parts__work(worded, open_page, part):
    app = opened(open_page, worded, mistake(worded), part)
    assert not app.exception and not app.error


def test_scene_graph__is_shown_when_a_command_has_written_it(worded, open_page):
    row = int(np.flatnonzero(worded.is_val)[0])
    one = {"image_id": str(worded.images["image_id"].iat[row])}
    app = opened(open_page, worded, row, "Scene graph")
    assert not app.exception and not app.header
    assert app.code[0].value == f"python -m core train-tokens CONFIG --study {worded.path}"
    corners = {"left": [1.0, 8], "top": [1.0, 2], "right": [6.0, 16], "bottom": [9.0, 9]}
    named = {"object": [0, 1], "score": 1.0, **corners, "name": ["dog", "hat"]}
    related = {"subject": 0, "object": 1, "predicate": "left of", "score": 0.75}
    tables = {
        "objects": pd.DataFrame(one | named),
        "relations": pd.DataFrame([one | related]),
        "attention": pd.DataFrame([one | {"token": 0, "kind": "image", "name": "image", "weight": 1.0}]),
    }
    keep_tables(worded.path, tables, {"weights": [1.0] * 8})
    app = opened(open_page, worded, row, "Scene graph")
    assert not app.exception and len(app.header) == 2 and spec(app, "token_attention")["data"]
    assert app.dataframe[0].value.iloc[0].tolist() == ["dog", "left of", "hat", 0.75]


def test_distinct_graphs__one_that_was_extracted_as_planted_is_shown_once():
    node = Node("dog")
    here, there = (
        SceneGraph((node,), np.array([[left, 0.0, left + 4, 4.0]]), np.ones(1)) for left in (0.0, 1.0)
    )
    assert distinct_graphs(here, here) == {"planted": here}
    assert distinct_graphs(here, there) == {"planted": here, "extracted": there}
    assert distinct_graphs(None, here) == {"extracted": here} and not distinct_graphs(None, None)


def opened_alike(open_page, study, row: int, **query):
    image = str(study.images["image_id"].iat[row])
    return open_page("image", study="seen", image=image, image_part="Similar images", **query)


def test_similar_images__and_for_another_study(studies, worded, open_page):
    row = mistake(worded)
    app = opened_alike(open_page, worded, row)
    assert OTHER not in [box.key for box in app.selectbox]  # demo has other images
    assert "nearest" in all_text(app) and "of its class" in all_text(app)
    shutil.copytree(worded.path, studies / "twin")
    app = opened_alike(open_page, worded, row, alike_other="twin")
    assert not app.exception and not app.error
    assert app.selectbox(key=OTHER).value == "twin"
    own, other = tiles(app, "detail_alike"), tiles(app, "detail_alike_other")
    assert [tile["id"] for tile in own] == [tile["id"] for tile in other] and len(own) > 3
    assert all_text(app).count("of its class") == 2


def test_nearest__train_images_have_no_verdict_and_a_line_says_why(worded, open_page):
    app = opened_alike(open_page, worded, mistake(worded))
    train = ~worded.is_val
    for key, every in (("detail_alike", False), ("detail_neighbours", True)):
        shown = tiles(app, key)
        seen = [tile for tile in shown if train[tile["id"]]]
        assert seen and not any(tile["verdict"] for tile in seen)
        assert all(tile["verdict"] for tile in shown if not train[tile["id"]])
        assert (len(seen) == len(shown)) == every
        assert {tile["badge"] for tile in seen} == {"" if every else widgets.TRAIN}
        kind = "all_seen" if every else "some_seen"
        assert str(widgets._say(kind, n=len(seen))) in all_text(app)


def test_picture_of_the_study_and_what_is_covered__are_named(worded):
    name = str(worded.images["image_id"].iat[3])
    assert in_the_study(worded, 3, 0.9, is_seen=True) == mostly_covered(0.5) == ""
    for is_seen, kind in ((True, "image_seen"), (False, "image_of_study")):
        sentence = as_record(in_the_study(worded, 3, 1.0, is_seen=is_seen))
        assert (sentence.kind, sentence.what) == (kind, name)
    assert as_record(mostly_covered(0.95)).value == 0.95
    assert reads.answer_has_seen(worded).tolist() == (~worded.is_val).tolist()


def test_same_class_words__precision_at_k():
    labels = pd.Series(["dog", "dog", "cat", "dog", None, "cat"])
    for nearest, told in ([1, 2, 3, 4], ["4", "2"]), ([2, 1, 4], ["3", "1"]):
        words = same_class_words(labels, 0, np.array(nearest))
        assert numbers(words) == told and "dog" in words
    alike, unlike = same_class_words(labels, 0, np.array([1])), same_class_words(labels, 2, np.array([1]))
    assert "dog" in alike and " not " not in alike
    assert "cat" in unlike and " not " in unlike
    assert same_class_words(labels.head(5), 2, np.array([1])) == ""  # no other image could be

    def parts(changes: dict[int, str | None]) -> list[Record]:
        changed = as_record(same_class_words(labels, 0, np.array([1, 2, 3, 4]), changes))
        return [as_record(one) for one in changed.parts]

    assert [(one.n, one.of) for one in parts({2: "dog", 3: None, 5: "dog"})] == [
        (2, 4),
        (2, 4),
    ]  # 5 is not among the nearest
    assert [(one.n, one.what) for one in parts({0: "cat"})] == [(2, "dog"), (1, "cat")]
    of_some = same_class_words(labels, 0, np.array([1, 2]), {0: None, 1: "cat"})
    assert as_record(of_some).kind == "one_of_some"
    assert same_class_words(labels, 4, np.array([1])) == same_class_words(labels, 0, np.array([], int)) == ""


def test_link_with_a_filter__the_place_is_among_its_images(worded, open_page):
    row = mistake(worded)
    label = worded.images["label"].iat[row]
    among = np.flatnonzero((worded.images["label"] == label).to_numpy(bool) & worded.is_val)
    image_id = str(worded.images["image_id"].iat[row])
    app = open_page("image", study="seen", image=image_id, where=f"label={label}")
    place = among.tolist().index(row) + 1
    assert f"{place:,} of {len(among):,}" in all_text(app)


def test_link_with_a_filter__a_train_image_has_its_place_among_all_images_of_the_filter(worded, open_page):
    row = int(np.flatnonzero(~worded.is_val)[0])
    label = worded.images["label"].iat[row]
    among = np.flatnonzero((worded.images["label"] == label).to_numpy(bool))
    image_id = str(worded.images["image_id"].iat[row])
    app = open_page("image", study="seen", image=image_id, where=f"label={label}")
    place = among.tolist().index(row) + 1
    assert f"{place:,} of {len(among):,}" in all_text(app)


def test_unlabelled_study__the_features_that_fire(worded, open_page):
    forget(worded.path, "failures", "quality", "probe")
    row = int(np.flatnonzero(worded.is_val)[0])
    app = opened(open_page, worded, row, "Features")
    assert not app.exception and "The classifier says" not in all_text(app)
    shown = looked_at(app)
    wanted = looked(open_study(worded.path), row).features["feature"].tolist()
    assert [int(one["id"]) for one in shown["rows"]] == wanted[: len(shown["rows"])]
    assert all(one["push"] is None for one in shown["rows"]) and shown["ends"] == ["", ""]


def test_image_of_the_study__features_and_both_answers(worded, open_page):
    row = mistake(worded)
    app = opened(open_page, worded, row)
    assert not app.exception
    found, said = stored(worded, row), all_text(app)
    assert f"**{found['answer']['predicted']}**" in said
    assert f"It is **{found['truth']['true']}**" in said
    assert f"**{found['n_features']}** feature" in said
    for side in ("answer", "truth"):
        bars = spec(app, f"decompose_{side}")
        assert grid(bars["data"][0]["x"]).tolist() == pytest.approx(found[side]["contributions"])
        names = [f"Feature {number}" for number in found[side]["features"]]
        assert bars["layout"]["yaxis"]["ticktext"] == names
    pages = [link.proto.label for link in app.get("page_link")]
    for at, part in enumerate(found["features"], 1):
        assert f"{at}. **Feature {part['feature']}**" in pages


def test_image_of_the_study__what_is_not_stored_can_be_asked_for(worded, open_page, trusted, monkeypatch):
    row = mistake(worded)
    assert any(part["box"] is None for part in stored(worded, row)["features"])
    asked = []

    def fail(command, folder):
        asked.append(command.image)
        raise JobError("2 images are being processed already")

    monkeypatch.setattr(launcher, "start", fail)
    app = opened(open_page, worded, row)
    assert app.button(key="decompose_again").label.startswith("Compute where ")
    said = "\n".join(one.value for one in app.caption)
    assert said.index("is not stored") < said.index("The boxes say")  # above what lacks them
    app.button(key="decompose_again").click().run()
    assert asked == [worded.images["image_id"].iat[row]]
    assert "2 images" in app.info[0].value


def test_without_features__what_the_probe_says_then(worded, open_page):
    row = mistake(worded)
    features = looked(worded, row).features["feature"].tolist()
    image = str(worded.images["image_id"].iat[row])
    app = open_page("image", study="seen", image=image, removed=",".join(map(str, features[:2])))
    assert not app.exception
    probe, raw = blame.ProbeWithMeans.of(worded), worded.array("representations")[row].astype(float)
    changed = raw.copy()
    changed[features[:2]] = probe.means[features[:2]]
    before, after = (softmax(probe.classifier.logits(one[None])[0]) for one in (raw, changed))
    name = worded.class_names[int(np.argmax(before))]
    change = f" from {100 * before.max():.0f} % to {100 * after[before.argmax()]:.0f} %"
    then = worded.class_names[int(np.argmax(after))]
    assert f"**,{change}" in all_text(app) if then == name else f"{name}{change}" in all_text(app)
    assert ("still says" in all_text(app)) == (then == name) and f"**{then}**" in all_text(app)
    assert "Without these 2 it " in all_text(app) and "These features weigh most" not in all_text(app)
    app = open_page("image", study="seen", image=image, removed="Feature -3,-1,99999999")
    assert not app.exception and "still says" not in all_text(app) and "Without" not in all_text(app)
    assert "These features weigh most" in all_text(app)


def test_suggested__the_surest_mistakes(worded, open_page):
    app = open_page("image", study="seen")
    assert not app.exception
    probe = worded.table("probe")[worded.is_val]
    wrong = probe[~probe["correct"].astype(bool)].sort_values("confidence", ascending=False, kind="stable")
    assert [tile["id"] for tile in tiles(app, "image_suggested")] == wrong.index[:48].tolist()


def test_suggested__without_a_probe_none_is_called_a_mistake(worded, open_page):
    app = open_page("image", study="seen")
    assert "mistakes" in all_text(app) and mistake(worded) in [
        tile["id"] for tile in tiles(app, "image_suggested")
    ]
    forget(worded.path, "failures", "quality", "probe")
    app = open_page("image", study="seen")
    assert not app.exception
    assert "mistakes" not in all_text(app)
    first = np.flatnonzero(worded.is_val)[: len(tiles(app, "image_suggested"))]
    assert [tile["id"] for tile in tiles(app, "image_suggested")] == first.tolist() != []


@pytest.mark.parametrize(("crop", "framed"), [("center", True), ("squash", False)])
def test_framed_part__is_explained_where_the_encoder_sees_less_than_the_picture(
    worded, open_page, monkeypatch, crop, framed
):
    transform = dataclasses.replace(worded.transform, input_size=32, resize=64, crop=crop)
    monkeypatch.setattr(Study, "transform", property(lambda study: transform))
    row = mistake(worded)
    told = "The encoder saw the framed part of the picture only."
    assert (told in looked_at(opened(open_page, worded, row, "Features"))["said"]) == framed
    assert (told in all_text(opened(open_page, worded, row, "Heatmaps and masks"))) == framed


def test_unknown_image__says_so(worded, open_page):
    app = open_page("image", study="seen", image="<b>nothing</b>")
    assert not app.exception and "image" not in app.query_params
    assert len(app.info) == 1 and "\\<b\\>" in app.info[0].value


def test_without_concepts__the_command(worded, open_page):
    forget(worded.path, "failures", "concepts")
    app = opened(open_page, worded, 0)
    assert not app.exception
    assert any(code.value.startswith("python -m core concepts ") for code in app.code)


def test_without_probe__features_only(worded, open_page):
    forget(worded.path, "failures", "quality", "probe")
    app = opened(open_page, worded, int(np.flatnonzero(worded.is_val)[0]))
    assert not app.exception
    assert "The classifier says" not in all_text(app)


def test_features_that_fire__one_is_said_to(studies, open_page):
    study = open_study(studies / "demo")
    row = int(np.flatnonzero((study.vector("firing_count") == 1) & study.is_val)[0])
    app = open_page("images", study="demo", image=study.images["image_id"][row])
    assert "1 feature fires, " in all_text(app)


def test_how_alike__counts_evaluation_images_that_are_nearer_to_the_train_images(studies, monkeypatch):
    study = open_study(studies / "demo")
    nearest = study.vector("neighbour_similarity").max(1)
    line, middle = how_alike(study, float(np.median(nearest))), float(np.median(nearest))
    assert isinstance(line, Record) and (line.kind, line.of) == ("usual", len(nearest))
    assert line.n == np.count_nonzero(nearest <= middle) and line.value == middle
    monkeypatch.setattr(reads, "vector", lambda study, name: np.linspace(0.5, 0.9, 50)[:, None])
    kinds = [getattr(how_alike(study, cosine), "kind", "") for cosine in (0.95, 0.6, 0.52, 0.2)]
    assert kinds == ["nearest", "usual", "far", "far"]  # of 50 images the last one proves nothing
    assert how_alike(study, 1.0) == ""


@pytest.mark.parametrize(("n", "unlike"), [(1, False), (98, False), (99, True)])
def test_how_alike__few_evaluation_images_call_no_picture_unlike_them(studies, monkeypatch, n, unlike):
    """Of n images like each other and one more, that one is the last with a probability of 1 / (n + 1)."""
    study = open_study(studies / "demo")
    monkeypatch.setattr(reads, "vector", lambda study, name: np.full((n, 3), 0.9))
    line = how_alike(study, 0.5)
    assert isinstance(line, Record) and (line.kind == UNLIKE_ALL) == unlike
    assert line.value == 0.5 and line.n == (n if unlike else 0)


def test_nearest_train__asks_train_images_alone_and_not_the_picture_itself(studies):
    study = open_study(studies / "demo")
    raw = study.array("representations")[:].astype(float)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    train = np.flatnonzero(~study.is_val)
    for row in (int(train[0]), int(np.flatnonzero(study.is_val)[0])):
        others = train[train != row]
        expected = float((unit[others] @ unit[row]).max())
        for read in (study, study.answering("crossfit") if "crossfit" in study.answers else study):
            assert np.isclose(nearest_train(read, raw[row], row), expected, atol=1e-5)

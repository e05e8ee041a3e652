"""A picture of a study, looked at as if it were a stranger's, gives the numbers that the study stores."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.analysis.heatmaps_on_demand import study_encoder
from core.analysis.predictor import of_outputs, predictor_of, predictor_of_images
from core.answers.class_logits import Classifier
from core.errors import SettingsError
from core.pictures.look import FEW_CLASSES, decide, heat_of, nearest_images, picture_overlay
from core.pictures.of_image import look_at
from core.pictures.resident_encoder import see
from core.pictures.seen import Alteration, how_to_see
from core.pipeline import run as pipeline
from core.store import open_study
from core.study.progress import Progress
from tests.analysis.heatmap_studies import HALF, HERE, VIT, heatmaps, make, make_images
from tests.shared import made_once

pytestmark = pytest.mark.slow
ROW = 15
TINY = {"encoder": "timm:resnet10t?output_stride=8", "input_size": 64, "resize": 64}


def make_answered(folder, encoder):
    path = make(folder / "study", make_images(folder / "images"), encoder)
    pipeline.run_step("probe", path, {"lr": 0.1, **HERE}, Progress.silent())
    heatmaps(path, top=2)


@pytest.fixture(scope="module", params=["closed form", "gradients"])
def study(request, tmp_path_factory):
    encoder = TINY if request.param == "closed form" else VIT
    made = made_once(tmp_path_factory, f"looked {request.param[:6]}", lambda at: make_answered(at, encoder))
    return open_study(made / "study")


@pytest.fixture(scope="module")
def encoder(study):
    return study_encoder(study)


def test_picture_of_the_study__gives_what_is_stored(study, encoder):
    true = str(study.images["label"].iat[ROW])
    seen = see(encoder, study.image(ROW), **how_to_see(study))
    made = decide(predictor_of(study), seen)
    raw = study.array("representations")[ROW]
    assert_allclose(seen.raw, raw, atol=1e-5 * np.abs(raw).max())
    decided = look_at(study, predictor_of_images(study), ROW)
    stored = decided.features
    same = decide(predictor_of(study), seen, true=true)
    assert (same.answer, same.rival) == (decided.answer, decided.rival)
    assert same.lead == pytest.approx(decided.lead, abs=1e-4)
    ours = same.features.set_index("feature").loc[stored["feature"]]
    for column in ("activation", "push"):
        assert_allclose(ours[column], stored[column], rtol=1e-5, atol=1e-5)
    assert_array_equal(ours["fires"], stored["fires"])
    probe = study.table("probe").iloc[ROW]
    assert made.classes["name"].iat[0] == probe["predicted"]
    assert made.classes["after"].iat[0] == pytest.approx(probe["confidence"], abs=1e-5)
    assert nearest_images(study, seen.raw, 1)[0].tolist() == [ROW]


def test_heatmaps__are_those_of_the_study(study, encoder):
    row = int(study.heatmap_reader.rows[-1])
    features, _ = study.heatmap_reader.discriminative(row)
    seen = see(encoder, study.image(row), **how_to_see(study), features=features.tolist())
    heat = heat_of(seen, features)
    assert heat is not None
    assert_allclose(heat, study.heatmap(row), atol=HALF)
    missing = next(j for j in range(99) if j not in features)
    assert heat_of(seen, [missing]) is None and picture_overlay(seen, [missing], side=64) == b""


def test_switching_off__is_the_answer_to_the_changed_vector_and_needs_no_encoder(study, encoder):
    seen = see(encoder, study.image(ROW), **how_to_see(study))
    asked = predictor_of(study)
    assert asked is not None and asked.classifier is not None
    off = decide(predictor_of(study), seen).features["feature"].head(3).tolist()
    changed = seen.raw.astype(np.float64)
    changed[off] = study.vector("representations")[~study.is_val].astype(np.float64).mean(0)[off]
    logits = asked.classifier.weights @ changed + asked.classifier.bias
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    after = decide(predictor_of(study), seen, off=off).classes.set_index("name")["after"]
    assert_allclose(after.loc[list(asked.names)], expected, atol=1e-9)


def test_alterations__what_the_encoder_gets(study, encoder):
    picture = study.image(ROW)
    crop, box = (0.1, 0.2, 0.7, 1.0), (0.0, 0.0, 0.5, 0.5)
    whole = see(encoder, picture, **how_to_see(study))
    cropped = see(encoder, picture, Alteration(crop), **how_to_see(study))
    by_hand = see(encoder, picture.crop((9, 14, 63, 70)), **how_to_see(study))
    assert_array_equal(cropped.raw, by_hand.raw)
    assert_allclose(cropped.view, by_hand.view + [9, 14, 9, 14])
    painted = picture.copy()
    painted.paste(tuple(round(255 * one) for one in encoder.transform.mean), (0, 0, 45, 35))
    covered = see(encoder, picture, Alteration(None, (box,)), **how_to_see(study))
    assert_array_equal(covered.raw, see(encoder, painted, **how_to_see(study)).raw)
    assert np.abs(covered.raw - whole.raw).max() > 0


@pytest.mark.parametrize("box", [(0, 0, 0, 1), (0.5, 0, 0.4, 1), (0, 0, 1.2, 1), (0, 0, float("nan"), 1)])
def test_boxes__that_are_none_are_refused_in_one_line(box):
    for crop, covered in ((box, ()), (None, [box])):
        with pytest.raises(SettingsError, match="left, top, right, bottom") as caught:
            Alteration.of(crop, covered)
        assert "\n" not in str(caught.value)
    with pytest.raises(SettingsError, match="four numbers"):
        Alteration.of([1, 2], ())


def test_rival__is_next_also_where_all_shares_but_one_are_0():
    names, weights = tuple("abcdefghij"), np.eye(10)
    asked = of_outputs([[name] for name in names], names, Classifier(weights, np.zeros(10)), np.zeros(10))
    raw = np.array([0, 1, 2, 3, 4, 5, 6, 7, 9000, 8], np.float64)
    made = decide(asked, SimpleNamespace(raw=raw, fires=raw > 0))
    assert (made.answer, made.rival, made.lead) == ("i", "j", 8992.0)
    assert made.classes["before"].tolist() == [1, 0, 0, 0, 0]
    assert made.classes["name"].tolist() == list("ijhgf")


def test_outputs__of_a_head_are_labels_or_keep_their_names(encoder, study):
    names = [["n00000001", "cat, house cat"], ["n00000002", "dog"], ["n00000003", "tree"]]
    weights = np.random.default_rng(0).normal(size=(3, encoder.n_features))
    classifier, means = Classifier(weights, np.zeros(3)), np.zeros(encoder.n_features)
    asked = of_outputs(names, ["n00000001", "n00000002"], classifier, means)
    assert asked.spoken == ("cat", "dog", "tree")
    assert asked.names[:2] == ("n00000001", "n00000002")
    seen = see(encoder, Image.new("RGB", (40, 40), "red"), **how_to_see(study))
    made = decide(asked, seen)
    assert made.classes["after"].sum() == pytest.approx(1.0)
    many = dataclasses.replace(
        asked,
        names=tuple("abcdefghij"),
        spoken=tuple("abcdefghij"),
        column=np.arange(10),
        classifier=Classifier(np.random.default_rng(1).normal(size=(10, encoder.n_features)), np.zeros(10)),
    )
    usual, least = decide(many, seen).classes, decide(many, seen, also=many.names).classes["name"].iat[-1]
    assert len(usual) == 5 and least not in set(usual["name"])
    for listed in (decide(many, seen, true=least), decide(many, seen, also=[least])):
        assert listed.classes["name"].tolist() == [*usual["name"], least]
    logits = weights @ seen.raw.astype(np.float64)
    assert made.answer == asked.spoken[asked.column[int(np.argmax(logits))]]


def test_covered_share__matches_a_raster(rng):
    side = 40  # boxes end at its lines
    for n in (0, 1, 5, 20):
        boxes = []
        for _ in range(n):
            (left, right), (top, bottom) = (np.sort(rng.choice(side + 1, 2, replace=False)) for _ in range(2))
            boxes.append(tuple(np.array([left, top, right, bottom]) / side))
        for region in ((0.0, 0.0, 1.0, 1.0), (0.25, 0.5, 0.75, 0.9)):
            covered = np.zeros((side, side), bool)
            for left, top, right, bottom in np.round(np.array(boxes).reshape(-1, 4) * side).astype(int):
                covered[top:bottom, left:right] = True
            left, top, right, bottom = np.round(np.array(region) * side).astype(int)
            share = Alteration(covered=tuple(boxes)).covered_share(region)
            assert share == pytest.approx(covered[top:bottom, left:right].mean())


def test_decide__weighs_the_answer_against_a_class_of_choice(study, encoder):
    seen = see(encoder, study.image(ROW), **how_to_see(study))
    predictor: Any = predictor_of(study)
    first = decide(predictor, seen)
    names = list(predictor.names)
    if len(names) <= FEW_CLASSES:
        assert sorted(first.classes["name"]) == sorted(names)
    answer = names[predictor.spoken.index(first.answer)]
    for against in (name for name in names if name != answer):
        made = decide(predictor, seen, against=against, true=names[0])
        assert (made.answer, made.rival) == (first.answer, predictor.spoken[names.index(against)])
        assert against in set(made.classes["name"])
    same = decide(predictor, seen, against=answer)
    assert (same.rival, same.lead) == (first.rival, first.lead)
    assert decide(predictor, seen, against="no such class").rival == first.rival

"""Which score is recommended, by what there is; a headline is the one that `recommend` names."""

from __future__ import annotations

import shutil

import pytest

from core.analysis.recommendation import (
    MEASURED,
    WORKED,
    Recommendation,
    advice,
    advise,
    claim,
    recommend,
    recommended,
    say_of_scores,
    verdict,
)
from core.common.score_names import score_in_sentence
from core.common.step_facts import CalibrationFacts
from core.measures.score_verdicts import ScoreEvidence, judge_score
from core.publish.summary import info
from core.store import open_study
from tests.manifests import edited_manifest, write_tables
from tests.sentences import as_record

FACTS = {"n": 200, "n_errors": 40, "score": "norm", "auroc": 0.7, "low": 0.6, "high": 0.8}


@pytest.mark.parametrize(
    ("held", "facts", "score"),
    [
        (("combined", "distinctiveness", "confidence"), FACTS, "confidence"),
        (("combined", "distinctiveness", "norm"), FACTS, "norm"),
        (
            ("combined", "distinctiveness", "norm"),
            FACTS | {"low": 0.45},
            "norm",
        ),  # may be chance, and says so
        (("combined", "distinctiveness", "norm"), FACTS | {"auroc": 0.48, "low": 0.4}, "distinctiveness"),
        (("combined", "distinctiveness", "norm"), FACTS | {"n_errors": 7}, "distinctiveness"),
        (("combined", "distinctiveness"), FACTS, "distinctiveness"),  # norm is not known of these images
        (("combined", "distinctiveness"), None, "distinctiveness"),
    ],
)
def test_recommend__by_what_there_is_and_never_the_combined_score(held, facts, score):
    found = recommend(held, None if facts is None else CalibrationFacts(**facts))
    assert found is not None and found.score == score
    assert "--" not in found.reason  # a page shows it
    tried = facts is not None and facts["low"] < 0.5 and facts["n_errors"] > 7
    if score == "distinctiveness":
        assert (found.reason.kind, found.reason.n, found.reason.of) == ("with_care", WORKED, MEASURED)
        assert found.reason.parts[0].kind == ("none_works" if tried else "calibrate")
    elif score == "norm":
        assert (
            found.reason.kind == ("calibrated_in_vain" if tried else "calibrated") and found.reason.n == 200
        )
    else:
        assert found.reason.kind == "without_labels"


def test_recommend__nothing_from_nothing():
    assert recommend(()) is None and recommend(("combined",), None) is None


@pytest.mark.parametrize("n_wrong", [0, 1, 7, 8])
def test_claim__needs_eight_errors(n_wrong):
    row = {"score": "confidence", "auroc": 0.9, "auroc_low": 0.6, "auroc_high": 0.97, "n": 50}
    told = claim(row | {"n_wrong": n_wrong})
    if n_wrong < 8:
        assert told.kind == "too_few" and told.parts[0].n == n_wrong
    else:
        assert (told.kind, told.value, told.interval) == ("predicts", 0.9, (0.6, 0.97))
    assert told.what == score_in_sentence("confidence")


def test_advise__with_the_verdict_where_there_is_one():
    confidence = recommend(["confidence"])
    assert confidence is not None
    few = judge_score(ScoreEvidence("confidence", 0.9, 0.6, 0.97, 3, 40))
    told, alone = advise(confidence, few), advise(confidence)
    assert told and told.parts == (few.sentence, confidence.reason)
    assert told.kind == "not_judged", "what is not judged is not advised"
    calibrated_score = Recommendation("confidence", say_of_scores("calibrated", n=200))
    assert as_record(advise(calibrated_score, few)).kind == "take_worth"
    assert alone and alone.parts == (confidence.reason,) and advise(None) == ""


def test_advice__is_what_info_says(shared_study):
    study = open_study(shared_study)
    found, metrics = recommended(study), study.table("quality_metrics")
    assert found is not None and found.score == "confidence"
    worth, said = verdict(study, "confidence", metrics), advice(study)
    assert worth is not None and said and said.what == score_in_sentence("confidence")
    assert said.parts == (worth.sentence, found.reason)
    assert info(study)["recommendation"] == said
    assert verdict(study, "confidence", metrics.assign(n=0).loc[metrics["score"] != "confidence"]) is None


def test_advice__without_a_probe_names_distinctiveness_and_its_caveat(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    with edited_manifest(folder) as manifest:
        del manifest["items"]["quality_metrics"]
    study = open_study(folder)
    frame = study.table("quality").assign(confidence=float("nan"))
    write_tables(folder, quality=frame)
    again = open_study(folder)
    found = recommended(again)
    assert found is not None and found.score == "distinctiveness"
    said = advice(again)
    assert said and said.what == score_in_sentence("distinctiveness")
    assert said.parts == (found.reason,)  # what it is worth here is not known


def test_recommended__is_of_the_slice_that_a_study_is_narrowed_to(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    study = open_study(folder)
    frame, images = study.table("quality"), study.images.set_index("image_id")
    first = images["label"].loc[frame["image_id"]].to_numpy() == study.class_names[0]
    frame.loc[first, "confidence"] = float("nan")
    write_tables(folder, quality=frame)
    again = open_study(folder)
    whole, unanswered = recommended(again), recommended(again.where(f"label={study.class_names[0]}"))
    assert whole is not None and whole.score == "confidence"
    assert unanswered is not None and unanswered.score == "distinctiveness"

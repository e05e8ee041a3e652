"""The trust check: the AUROC's interval alone decides, and the facts beside it are never a cause."""

from __future__ import annotations

import dataclasses
import itertools
import math
import shutil

import pandas as pd
import pytest

from core.analysis.quality.trust_check import Evidence, check_trust, evidence_of, read_check
from core.common.records import Record
from core.common.score_names import score_label
from core.common.step_facts import QualityFacts
from core.export.summary import info
from core.store import open_study
from tests.manifests import edited_manifest

GOOD = Evidence(
    auroc=0.73, low=0.71, high=0.75, n_wrong=300, n_right=700, near_zero=0.8, negative=0.0,
    mean_firing=12.0, nonempty=0.9, rank=2,
    n_scores=11, ahead_label_free=(), n_label_free=7,
)  # fmt: skip
NONE = dict.fromkeys(("auroc", "low", "high"), math.nan)
CHANCE = {"auroc": 0.49, "low": 0.47, "high": 0.51}
HARDLY = {"auroc": 0.51, "low": 0.501, "high": 0.549}
WRONG_WAY = {"auroc": 0.40, "low": 0.38, "high": 0.43}


@pytest.mark.parametrize(
    ("change", "verdict", "kind", "n"),
    [
        ({}, "trusted", "trusted", None),
        (HARDLY, "unreliable", "hardly_better", None),
        ({"auroc": 0.53, "low": 0.501, "high": 0.55}, "trusted", "trusted", None),
        ({"low": 0.5}, "unreliable", "no_better", None),
        (CHANCE, "unreliable", "no_better", None),
        (WRONG_WAY, "unreliable", "wrong_way", None),
        (NONE | {"why_untested": "no labels"}, "untested", "untested", None),
        ({"low": math.nan, "high": math.nan}, "untested", "no_interval", None),
        ({"n_wrong": 1}, "untested", "too_few", 1),
        ({"n_wrong": 7}, "untested", "too_few", 7),
        ({"n_wrong": 8}, "trusted", "trusted", None),
        (CHANCE | {"n_wrong": 7}, "untested", "too_few", 7),
        (CHANCE | {"n_wrong": 8}, "unreliable", "no_better", None),
        ({"n_right": 3}, "untested", "too_few", 3),
    ],
)  # fmt: skip
def test_check_trust__its_kind_and_numbers(change, verdict, kind, n):
    evidence = dataclasses.replace(GOOD, **change)
    found = check_trust(evidence)
    assert (found.verdict, found.sentence.kind, found.sentence.n) == (verdict, kind, n)
    if kind == "untested":
        assert found.sentence.why == "no labels"
    else:
        assert (found.sentence.value, found.sentence.chance) == (evidence.auroc, 0.5)
    if kind not in ("untested", "no_interval"):
        assert found.sentence.interval == (evidence.low, evidence.high)


@pytest.mark.parametrize(
    "auroc", [{}, CHANCE, NONE | {"why_untested": "no labels"}], ids=["good", "chance", "none"]
)
def test_no_other_fact_changes_the_verdict_or_its_sentence(auroc):
    """Also not where every fact is the opposite of what the paper argues from."""
    plain = check_trust(dataclasses.replace(GOOD, **auroc))
    choices = {
        "near_zero": (0.0, 1.0, math.nan),
        "negative": (0.5, math.nan),
        "mean_firing": (0.0, 400.0),
        "nonempty": (0.0, 1.0),
        "rank": (1, 11, None),
        "ahead_label_free": ((), ("norm",) * 7),
    }
    for values in itertools.product(*choices.values()):
        other = check_trust(dataclasses.replace(GOOD, **auroc, **dict(zip(choices, values, strict=True))))
        assert (other.verdict, other.sentence) == (plain.verdict, plain.sentence)
        assert not any(word in other.facts for word in ("because", "although", "premise", "only", "but"))


def test_facts__are_all_there():
    behind = dataclasses.replace(GOOD, ahead_label_free=("norm", "hoyer"), rank=4)
    facts = check_trust(behind).facts
    assert isinstance(facts, Record)
    place, *shares = facts.parts
    assert (place.kind, place.n, place.of) == ("rank_behind", 4, 11)
    ahead = place.parts[0]
    assert (ahead.kind, ahead.n, ahead.of, ahead.what) == ("ahead", 2, 7, score_label("norm"))
    assert {one.kind: one.value for one in shares} == {
        "near_zero": 0.8, "negative": 0.0, "firing": 12.0, "nonempty": 0.9,
    }  # fmt: skip
    assert check_trust(Evidence(math.nan, math.nan, math.nan)).facts == ""


def test_evidence__rank_and_the_scores_ahead_by_hand():
    metrics = pd.DataFrame(
        {
            "score": ["q_score", "norm", "hoyer", "knn_similarity", "confidence"],
            "label_free": [True, True, True, True, False],
            "auroc": [0.6001, 0.7, 0.6004, float("nan"), 0.9],  # hoyer is equal in the digits shown
            "note": ["", "", "", "undefined for every image", ""],
            "n": 100,
            "base_rate_error": 0.07,
        }
    )
    of_q = QualityFacts(q_auroc=0.6001, q_auroc_interval=(0.55, 0.65))
    found = evidence_of(of_q, metrics)
    assert (found.rank, found.n_scores) == (3, 4)
    assert found.ahead_label_free == ("norm",) and found.n_label_free == 2
    assert (found.n_wrong, found.n_right) == (7, 93)
    assert math.isnan(found.near_zero) and (found.low, found.high) == (0.55, 0.65)
    few = evidence_of(of_q, metrics.assign(n=[100, 20, 100, 100, 100]))  # norm exists on few images
    assert (few.rank, few.n_scores, few.ahead_label_free) == (2, 3, ())


def test_read_check__is_what_the_step_stored(shared_study):
    study = open_study(shared_study)
    found, stored = read_check(study), study.summary("quality")
    assert found is not None
    assert info(study)["premise_record"] == found.sentence.as_json()
    assert (found.verdict, found.sentence, found.facts) == (
        stored["premise"], stored["premise_sentence"], stored["premise_facts"],
    )  # fmt: skip


def test_read_check__of_an_older_study_takes_its_numbers_and_not_its_words(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "old")
    with edited_manifest(folder) as manifest:
        summary = manifest["steps"]["quality"]["summary"]
        del summary["premise_facts"], summary["q_augrc"]
        summary["premise"] = "caution"
        summary["premise_sentence"] = "Q predicts errors here; the paper's premise does not hold."
        summary |= {"q_auroc": 0.6, "q_auroc_interval": [0.55, 0.65]}
    found = read_check(open_study(folder))
    assert found is not None and found.verdict == "trusted"
    assert (found.sentence.value, found.sentence.interval) == (0.6, (0.55, 0.65))


def test_read_check__without_scores(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "bare")
    with edited_manifest(folder) as manifest:
        for name in manifest["steps"].pop("quality")["outputs"]:
            del manifest["items"][name]
    assert read_check(open_study(folder)) is None

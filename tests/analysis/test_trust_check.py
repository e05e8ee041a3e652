"""The trust check: Q is judged as every score is, and the facts beside the verdict are never a cause."""

from __future__ import annotations

import dataclasses
import itertools
import math
import shutil

import pandas as pd
import pytest

from core.analysis.trust_check import Evidence, check_trust, evidence_of, read_check
from core.common.records import Record
from core.common.score_names import score_label
from core.common.step_facts import QualityFacts
from core.measures.score_verdicts import FoundFirst, ScoreEvidence, judge_score
from core.publish.summary import info
from core.store import open_study
from tests.manifests import edited_manifest, write_tables

OF_Q = ScoreEvidence("q_score", 0.73, 0.71, 0.75, 300, 700, FoundFirst(50, 30, 23, 36, 15, 50))
GOOD = Evidence(
    OF_Q, near_zero=0.8, negative=0.0, mean_firing=12.0, nonempty=0.9, rank=2, n_scores=11, n_label_free=7
)
UNKNOWN = ScoreEvidence("q_score", why="no labels")


@pytest.mark.parametrize("of_q", [OF_Q, dataclasses.replace(OF_Q, low=0.4), UNKNOWN])
def test_no_other_fact_changes_the_verdict_or_its_sentence(of_q):
    """Also not where every fact is the opposite of what the paper argues from."""
    alone = judge_score(of_q)
    choices = {
        "near_zero": (0.0, 1.0, math.nan),
        "negative": (0.5, math.nan),
        "mean_firing": (0.0, 400.0),
        "nonempty": (0.0, 1.0),
        "rank": (1, 11, None),
        "ahead_label_free": ((), ("norm",) * 7),
    }
    for values in itertools.product(*choices.values()):
        facts = dict(zip(choices, values, strict=True))
        other = check_trust(dataclasses.replace(GOOD, of_q=of_q, **facts))
        assert (other.word, other.sentence) == (alone.word, alone.sentence)


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
    assert check_trust(Evidence()).facts == ""


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
    of_q = QualityFacts()
    found = evidence_of(of_q, metrics)
    assert (found.rank, found.n_scores) == (3, 4)
    assert found.ahead_label_free == ("norm",) and found.n_label_free == 2
    assert math.isnan(found.near_zero)
    few = evidence_of(of_q, metrics.assign(n=[100, 20, 100, 100, 100]))  # norm exists on few images
    assert (few.rank, few.n_scores, few.ahead_label_free) == (2, 3, ())


def test_read_check__is_what_info_says(shared_study):
    study = open_study(shared_study)
    found = read_check(study)
    assert found is not None
    row = study.table("quality_metrics").set_index("score").loc["q_score"]
    assert (found.sentence.value, found.sentence.interval) == (
        row["auroc"], (row["auroc_low"], row["auroc_high"]),
    )  # fmt: skip
    told = info(study)
    assert told["premise_record"] == found.verdict.as_json()
    assert (told["premise"], told["premise_facts"]) == (found.sentence, found.facts)


def test_read_check__of_an_older_study_takes_its_numbers_and_not_its_words(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "old")
    with edited_manifest(folder) as manifest:
        summary = manifest["steps"]["quality"]["summary"]
        summary["premise"] = "trusted"
        summary["premise_sentence"] = "Q predicts errors here; the paper's premise does not hold."
    table = open_study(folder).table("quality_metrics")
    table.loc[table["score"] == "q_score", ["auroc", "auroc_low", "auroc_high"]] = [0.5, 0.45, 0.55]
    write_tables(folder, quality_metrics=table)
    found = read_check(open_study(folder))
    assert found is not None and (found.word, found.sentence.kind) == ("useless", "no_better")


def test_read_check__without_scores(shared_study, tmp_path):
    folder = shutil.copytree(shared_study, tmp_path / "bare")
    with edited_manifest(folder) as manifest:
        for name in manifest["steps"].pop("quality")["outputs"]:
            del manifest["items"][name]
    assert read_check(open_study(folder)) is None

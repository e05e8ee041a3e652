"""What a summary says is read as a record: older studies fill what they have, and types are checked."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from core.common.entries import WrongEntry, record_of
from core.common.step_facts import (
    ConceptsFacts,
    EmbedFacts,
    OverlapFacts,
    ProbeFacts,
    QualityFacts,
    StepFacts,
    ThresholdFacts,
)
from core.errors import StudyError
from core.store import Study, open_study
from core.study.steps import STEPS
from tests.manifests import edited_manifest


def kinds(base: type[StepFacts] = StepFacts) -> set[type[StepFacts]]:
    found = set(base.__subclasses__())
    return found.union(*map(kinds, found)) if found else found


def test_every_record_names_a_step_and_has_defaults():
    records = kinds()
    assert len(records) > 10
    for kind in records:
        assert kind.step in STEPS or kind.step in ("accuracy", "transfer", "perturbed", "leaderboard")
        assert record_of(kind, {}) == kind()
    assert len({kind.step for kind in records}) == len(records)


def test_an_older_summary_fills_what_it_has():
    older = {"n_images": 3, "encoder": {"spec": "x", "since": 1}, "head": None, "of_later": [1]}
    facts = record_of(EmbedFacts, older)
    assert (facts.n_images, facts.encoder.spec, facts.encoder.layer) == (3, "x", None)
    assert facts.split_given and facts.head.assumed and facts.source.described == {}


def test_nested_records_lists_and_what_is_kept_whole():
    per_k = [{"k": 3, "n_explainable": 2, "n_joint_groups": 0}]
    assert record_of(ConceptsFacts, {"per_k": per_k}).per_k == (ThresholdFacts(3.0, 2, 0),)
    source = {"kind": "folder", "root": "photos", "seed": 1}
    assert record_of(EmbedFacts, {"source": source}).source.described == source
    assert record_of(QualityFacts, {"q_auroc_interval": [0, 1]}).q_auroc_interval == (0.0, 1.0)


def test_null_is_a_value_of_what_is_kept_as_it_is():
    transform = {"resize": None, "input_size": 96}
    facts = record_of(EmbedFacts, {"encoder": {"transform": transform}})
    assert facts.encoder.transform == transform


@pytest.mark.parametrize(
    ("kind", "summary", "entry"),
    [
        (ProbeFacts, {"top1": "most"}, "top1"),
        (ProbeFacts, {"n_val": True}, "n_val"),
        (ProbeFacts, {"lr_accuracy": {"0.1": "high"}}, "lr_accuracy.0.1"),
        (EmbedFacts, {"encoder": 5}, "encoder"),
        (EmbedFacts, {"encoder": {"report": {"matched": 1.5}}}, "encoder.report.matched"),
        (EmbedFacts, {"notes": "one"}, "notes"),
        (QualityFacts, {"q_auroc_interval": [0.5]}, "q_auroc_interval"),
    ],
)
def test_a_wrong_type_names_its_entry(kind: type[StepFacts], summary: dict[str, Any], entry: str):
    with pytest.raises(WrongEntry, match=f"'{entry}'"):
        record_of(kind, summary)


def test_a_wrong_type_in_a_study_is_one_line(study_path):
    folder = study_path()
    with edited_manifest(folder) as manifest:
        manifest["steps"]["features"]["summary"]["skipped"] = ["no", "text"]
    with pytest.raises(StudyError, match="'features'.*'skipped'") as said:
        Study(folder).why_skipped("features")
    assert "\n" not in str(said.value)


def test_an_answer_and_a_slice_give_their_own(shared_study):
    study = open_study(shared_study)
    part = study.where("split=val correct=false")
    assert part.facts(ProbeFacts).top1 == 0 and part.facts(ProbeFacts).n_val == part.n_chosen
    assert study.facts(ProbeFacts).top1 == study.summary("probe")["top1"] != 0
    assert part.facts(QualityFacts).skipped and part.facts(QualityFacts).q_auroc is None
    assert part.facts(EmbedFacts) == study.facts(EmbedFacts)
    assert part.facts(OverlapFacts).notes == ()
    assert {one.name for one in fields(OverlapFacts)} >= {"masks", "mask_report", "miou_core"}

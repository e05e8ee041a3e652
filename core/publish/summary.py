"""Summarise what a study holds; `core.pipeline.verify` checks its files."""

from typing import Any

from core.analysis.caveats import notes_on_accuracy, notes_on_features
from core.analysis.recommendation import advice
from core.analysis.trust_check import headline, read_check, scores_of_answer
from core.answers.class_logits import explains_errors
from core.bases.worth import bases_report
from core.common.inside import bytes_below
from core.common.step_facts import (
    ConceptsFacts,
    EmbedFacts,
    EncoderFacts,
    FeaturesFacts,
    OverlapFacts,
    ProbeFacts,
)
from core.encoders.readout import readout_words
from core.measures.corrected_accuracy import before_corrections
from core.measures.label_issues import TABLE as ISSUES
from core.measures.label_issues import issues_sentence, why_not_checked
from core.measures.leaks import leakage
from core.measures.slice_comparison import shown_images
from core.pipeline.verify import Problem, verify
from core.publish.accuracies import accuracies
from core.publish.finding import study_finding
from core.store import Answered, Study
from core.study.steps import STEPS, in_analysis

OF_QUALITY = ("q_auroc", "q_auroc_interval", "q_auprc", "q_auprc_interval", "base_rate")
__all__ = ["Problem", "info", "verify"]


def info(study: Study) -> dict[str, Any]:
    """Summarise a study for a terminal, for agents and reports: numbers, settings, size, missing steps.

    Return headline numbers, settings, size and missing steps as a JSON-able dict; None where unknown.
    """
    read = study if study.answer else study.answering()
    study = read.whole if isinstance(read, Answered) else study
    embed, overlap = read.facts(EmbedFacts), study.facts(OverlapFacts)
    report = embed.encoder.report
    described = None if report is None else dict(report.described)
    encoder = embed.encoder
    assumed = {
        "checkpoint": described,
        "assumptions": list(encoder.assumptions),
        "most_harmful": encoder.most_harmful,
        "notes": list(embed.notes),
    }
    summary: dict[str, Any] = {"name": study.name, "finding": study_finding(read), "path": str(study.path)}
    summary["images"] = study.settings("embed").get("images")
    summary |= {**_encoder(study, embed.encoder), **_counts(study, read), **_answers(study, read)}
    summary |= {
        **_quality(study, read),
        "miou_core": overlap.miou_core,
        "miou_spurious": overlap.miou_spurious,
    }
    summary |= {**assumed, **_steps(study, read)}
    summary["no_longer_shown"] = [one.as_json() for one in study.no_longer_shown]
    summary["bytes"] = bytes_below(study.path)
    return summary


def _encoder(study: Study, encoder: EncoderFacts) -> dict[str, Any]:
    return {
        "encoder": encoder.spec or None,
        "encoder_name": study.encoder_name or None,
        "layer": encoder.layer,
        "readout": readout_words(encoder) or None,
        "precision": encoder.precision,
    }


def _counts(study: Study, read: Study) -> dict[str, Any]:
    embed, features = read.facts(EmbedFacts), read.facts(FeaturesFacts)
    counts: dict[str, Any] = {"epsilon": features.epsilon, "k": study.facts(ConceptsFacts).k}
    of_images = ("n_images", "n_train", "n_val", "n_classes", "group", "n_groups", "n_skipped")
    counts |= {name: getattr(embed, name) for name in of_images}
    counts |= _repeats(study)
    counts |= {
        "n_features": embed.encoder.n_features,
        "n_discriminative": features.n_discriminative,
        "mean_firing": features.mean_firing,
        "feature_notes": notes_on_features(study),
    }
    return counts


def _repeats(study: Study) -> dict[str, Any]:
    """How many images repeat others, exactly or nearly, and how many evaluation images train has, too; None
    where it is not known."""
    pictures, leaked = study.facts(EmbedFacts).pictures, leakage(study)
    n_leaks = (leaked.n if leaked else 0) if study.has("pictures") else None
    return {
        "n_duplicates": pictures.n_exact,
        "n_near_duplicates": pictures.n_near,
        "n_leaks": n_leaks,
        "leakage": leaked,
    }


def _answers(study: Study, read: Study) -> dict[str, Any]:
    probe = read.facts(ProbeFacts)
    has_top5 = read is not study or (read.facts(EmbedFacts).n_classes or 0) > 5
    answers = []
    for answer in study.answers.values():
        about = {"name": answer.name, "kind": answer.kind, "words": answer.words}
        answers.append(about | {"notes": answer.facts.get("notes", [])})
    top5 = probe.top5 if has_top5 else None
    before = before_corrections(read, shown_images(read))
    notes = [*([str(before)] if before else []), *notes_on_accuracy(study)]
    return {
        "answer": read.answer_name,
        "accuracy": probe.top1,
        "top5": top5,
        "answers": answers,
        "accuracies": [one.as_json() | {"sentence": str(one.sentence)} for one in accuracies(read)],
        "bases": bases_report(study, study.bases),
        "probe_notes": notes,
    }


def _quality(study: Study, read: Study) -> dict[str, Any]:
    quality, trust = headline(read), read_check(read)
    scores = scores_of_answer(read) if read.answer and read.has("quality_metrics") else None
    facts = {name: _plain(getattr(quality, name)) for name in OF_QUALITY}
    facts |= {"recommendation": advice(read, scores) or None, "label_issues": _label_issues(study)}
    if trust is None:
        return facts | dict.fromkeys(("premise", "premise_facts", "premise_record"))
    premise = {"premise": trust.sentence, "premise_facts": trust.facts}
    return facts | premise | {"premise_record": trust.verdict.as_json()}


def _plain(value: Any) -> Any:
    """A value of a record as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def _steps(study: Study, read: Study) -> dict[str, Any]:
    settings = {step: study.settings(step) for step in STEPS}
    skipped = {step: why for step in STEPS if (why := study.why_skipped(step))}
    if read is not study and explains_errors(read):
        skipped.pop("failures", None)  # those of an answer need no step
    analysed = [step for step in STEPS if step in in_analysis() or settings[step]]
    steps: dict[str, Any] = {"steps": {step: study.state(step) for step in analysed}}
    steps["settings"] = {step: values for step, values in settings.items() if values}
    steps["skipped_steps"] = skipped
    steps["missing"] = {step: str(missing) for step, missing in study.missing().items()}
    return steps


def _label_issues(study: Study) -> str | None:
    """What is said of labels by models out of fold, whatever answer is read; else what to run."""
    if not study.labelled:
        return None
    return why_not_checked(study) or issues_sentence(study.table(ISSUES)) or None

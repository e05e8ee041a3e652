"""Evaluate concepts on Glyphworld, where the truth is known: FALCON, its ablations and its baselines.

A word is *related* to a feature when it is true of at least a share t of the feature's images (group A) and
of a smaller share of the other probe images (group B); t = 0.5 is the majority that the paper requires.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.common.command_line import command_line
from core.concepts.crop_store import WHOLE
from core.concepts.naming import majority as majority_rule
from core.concepts.step import Selection, explain, look, make_cropper
from core.concepts.tables import Ids, concept_table
from core.concepts.tools import Tools, is_glyphworld, open_tools
from core.concepts.word_measures import (
    dissect_words,
    kept_words,
    precision_recall_table,
    random_words,
    without_contrast,
)
from core.config import ConceptsConfig
from core.errors import StudyError
from core.research.rendered_scenes.word_auc import truths_of
from core.worlds.glyphworld.word_truth import TruthTable, WordTruth, cue_words

if TYPE_CHECKING:
    import torch

    from core.concepts.units import Unit
    from core.jobs.progress import Progress
    from core.storage.writer import StepWriter
    from core.store import Study

SHARES = (0.25, 0.5)  # t
FALCON, NO_CONTRAST, NO_CROPS = "FALCON", "FALCON without contrast", "FALCON without crops"
NO_CROPS_NO_CONTRAST = "FALCON without crops and contrast"
DISSECT = {"CLIP-Dissect-like": 10.0, "CLIP-Dissect-like, sharp": 100.0}  # scale of its softmax over words
RANDOM, MAJORITY = "random words", "majority of whole images"
BANK_SAMPLE = 100_000  # captions that provide the vocabulary of the baselines
NOT_PLANTED = "the truth is known for Glyphworld only; elsewhere use the human study"

Ranked = dict[str, list[str]]


def compute_evaluation(
    study: Study,
    step: StepWriter,
    config: ConceptsConfig,
    *,
    progress: Progress,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> None:
    """Write tables `concept_scores` (method, share, k, precision, recall_true, recall_pooled, n_…),
    `method_words` (method, group, rank, word, true_share: of the group's images, other_share, related),
    and `planted_cues` (see `cue_table`).

    Args:
        config: that of the study's step `concepts`, whose words are evaluated.
    Raises:
        StudyError: the study has no concepts.
    """
    if not is_glyphworld(study):
        step.summary = {"skipped": NOT_PLANTED}
        return
    if not study.has("concepts"):
        raise StudyError(f"'{study.path}' has no concepts. Run: {command_line('concepts', study.path)}")
    selection = look(study, config, progress)
    tools = open_tools(study, config, device, progress)
    stored = {rule_of(config): study.table("concepts")}
    methods = words_by_method(study, selection, tools, config, progress, device, seed, stored=stored)
    table = truths_of(study, selection.probe.rows, progress)
    truths = truths_of_units(table, selection, methods)
    scores, words = evaluate_methods(methods, truths, table.vocabulary)
    step.table("concept_scores", scores)
    step.table("method_words", words)
    cues = cue_table(study, selection, kept_words(study.table("concepts")), table)
    step.table("planted_cues", cues)
    step.summary = evaluation_headline(scores, cues) | {
        "n_groups": len(selection.units),
        "shares": list(SHARES),
        "seed": seed,
    }


def words_by_method(
    study: Study,
    selection: Selection,
    tools: Tools,
    config: ConceptsConfig,
    progress: Progress,
    device: str | torch.device,
    seed: int,
    *,
    stored: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, Ranked]:
    """Find six words for each group by each method.

    Args:
        stored: tables `concepts` that need not be computed again, by the method that they are of.
    """
    names = [unit.name for unit in selection.units]

    def concepts_by(method: str, **changes: Any) -> pd.DataFrame:
        if stored and method in stored:
            return stored[method]
        other = dataclasses.replace(config, min_score=None, counter_score=None, **changes)
        explained = explain(study, selection, tools, other, progress, device)
        return concept_table(explained.units, Ids(selection.probe))

    majority = concepts_by(MAJORITY, naming=majority_rule.MAJORITY)
    concepts = concepts_by(FALCON, naming=majority_rule.FALCON)
    uncropped = concepts_by(NO_CROPS, naming=majority_rule.FALCON, crop=False)
    vocabulary = bank_vocabulary(tools)
    methods = {
        MAJORITY: kept_words(majority),
        FALCON: kept_words(concepts),
        NO_CONTRAST: without_contrast(concepts),
        NO_CROPS: kept_words(uncropped),
        NO_CROPS_NO_CONTRAST: without_contrast(uncropped),
        RANDOM: random_words(names, vocabulary, seed=seed),
    }
    if vocabulary:
        methods |= _dissect(study, selection, tools, config, vocabulary, progress, device)
    return {name: {group: ranked.get(group, []) for group in names} for name, ranked in methods.items()}


def rule_of(config: ConceptsConfig) -> str:
    """Return the method by which a study's own words were chosen."""
    return MAJORITY if majority_rule.naming_of(config) == majority_rule.MAJORITY else FALCON


def bank_vocabulary(tools: Tools) -> list[str]:
    """List the single words of the bank (of its first captions, if it is large), sorted."""
    from core.concepts.captions.words import concepts_of

    if tools.bank is None:
        return []
    bank: Any = tools.bank
    captions = bank.texts(np.arange(min(len(bank), BANK_SAMPLE)))
    return sorted({word.text for text in captions for word in concepts_of(text) if word.kind == "word"})


def _dissect(
    study: Study,
    selection: Selection,
    tools: Tools,
    config: ConceptsConfig,
    vocabulary: Sequence[str],
    progress: Progress,
    device: str | torch.device,
) -> dict[str, Ranked]:
    """Find words as CLIP-Dissect does: whole images, single words, soft-WPMI over all units; two scales."""
    rows = selection.probe.rows
    cropper = make_cropper(study, tools, dataclasses.replace(config, crop=False), device)
    with progress.stage("whole images", total=len(rows), unit="images") as bar:
        crops = cropper.embed(rows, np.full(len(rows), WHOLE, object), bar)
    images = np.zeros((len(rows), tools.clip.width), np.float32)
    for which, held in cropper.store.blocks(crops, len(rows)):
        images[which] = held["embeddings"]
    texts = np.asarray(tools.clip.embed_texts(list(vocabulary)), np.float32)
    activations = np.zeros((len(rows), len(selection.units)))
    for start, h in selection.probe.blocks():
        for number, unit in enumerate(selection.units):
            activations[start : start + len(h), number] = h[:, list(unit.features)].min(1)
    names = [unit.name for unit in selection.units]
    return {
        method: dict(
            zip(names, dissect_words(images, texts, vocabulary, activations, scale=scale), strict=True)
        )
        for method, scale in DISSECT.items()
    }


def truths_of_units(
    table: TruthTable, selection: Selection, methods: Mapping[str, Ranked]
) -> dict[str, WordTruth]:
    """Compute the truth of all methods' words, and of all single words, for each group's images."""
    return {unit.name: _truth_of_unit(table, unit, methods, len(selection.probe)) for unit in selection.units}


def _truth_of_unit(table: TruthTable, unit: Unit, methods: Mapping[str, Ranked], n_images: int) -> WordTruth:
    others = np.setdiff1d(np.arange(n_images), unit.positions)
    given = [word for ranked in methods.values() for word in ranked[unit.name]]
    return table.of(unit.positions, others, [*table.vocabulary, *given])


def evaluate_methods(
    methods: Mapping[str, Ranked], truths: Mapping[str, WordTruth], vocabulary: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build the tables `concept_scores` and `method_words`."""
    scores, words = [], []
    single = set(vocabulary)
    for method, ranked in methods.items():
        for share in SHARES:
            related = {group: truth.related(share) for group, truth in truths.items()}
            true_words = {group: found & single for group, found in related.items()}
            table = precision_recall_table(ranked, related, true_words)
            table.insert(0, "share", share)
            table.insert(0, "method", method)
            scores.append(table)
        for group, given in ranked.items():
            truth = truths[group]
            words += [
                (method, group, rank, word, truth.of_a[word], truth.of_b[word], word in truth.related(0.5))
                for rank, word in enumerate(given, start=1)
            ]
    columns = ["method", "group", "rank", "word", "true_share", "other_share", "related"]
    return (
        pd.concat(scores, ignore_index=True).astype({"method": "str"}),
        pd.DataFrame(words, columns=columns).astype({"method": "str", "group": "str", "word": "str"}),
    )


def cue_table(study: Study, selection: Selection, words: Ranked, table: TruthTable) -> pd.DataFrame:
    """Determine which planted spurious cues were found.

    Returns:
        label, kind (background or companion), cue, and numbers of explained features and groups: n_driven
        (the cue is related to their images, by the majority and by a quarter), n_found (of those by a
        quarter, their kept words contain the cue), n_named (contain it at all), n_of_class (contain it,
        and at least a third of their images are of the cue's class), groups (the names of those found).
    """
    labels = study.images["label"].to_numpy(object)[selection.probe.rows]
    everyone = np.arange(len(selection.probe))
    rows = []
    for label in study.class_names:
        for kind, cue in cue_words(label).items():
            driven = {share: [] for share in SHARES}
            named = [unit for unit in selection.units if names_cue(words.get(unit.name, []), cue)]
            for unit in selection.units:
                truth = table.of(unit.positions, np.setdiff1d(everyone, unit.positions), [cue])
                for share in SHARES:
                    if cue in truth.related(share):
                        driven[share].append(unit.name)
            hit = [unit.name for unit in named if unit.name in driven[SHARES[0]]]
            ours = [unit for unit in named if np.mean(labels[unit.positions] == label) >= 1 / 3]
            rows.append(
                {
                    "label": label,
                    "kind": kind,
                    "cue": cue,
                    "n_driven_majority": len(driven[0.5]),
                    "n_driven": len(driven[SHARES[0]]),
                    "n_found": len(hit),
                    "n_named": len(named),
                    "n_of_class": len(ours),
                    "groups": ";".join(hit),
                }
            )
    return pd.DataFrame(rows).astype(dict.fromkeys(("label", "kind", "cue", "groups"), "str"))


def names_cue(words: Sequence[str], cue: str) -> bool:
    """Return True when a word or phrase contains all words of the cue."""
    cue_parts = set(cue.split()) - {"of"}
    return any(cue_parts <= set(word.split()) for word in words)


def evaluation_headline(scores: pd.DataFrame, cues: pd.DataFrame) -> dict[str, Any]:
    """Return each method's precision and recall at 6 by the majority, and the share of cues found."""
    last = scores[(scores["share"] == SHARES[-1]) & (scores["k"] == 6)]
    driving = cues["n_driven"].to_numpy() > 0
    is_named = cues["n_found"].to_numpy() > 0
    return {
        "precision_at_6": dict(zip(last["method"].tolist(), last["precision"].tolist(), strict=True)),
        "recall_at_6": dict(zip(last["method"].tolist(), last["recall_true"].tolist(), strict=True)),
        "n_cues": len(cues),
        "n_cues_driving": int(driving.sum()),
        "n_cues_found": int((driving & is_named).sum()),
    }

"""The step `concepts`: explain features and groups of features in words (docs/method.md 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.common.dataframes import unit_rows
from core.common.group_names import group_features, group_name
from core.common.records import Record
from core.common.step_facts import EmbedFacts
from core.concepts import concept_tables
from core.concepts.caption_words import PHOTOGRAPHS, words_in
from core.concepts.clip_and_captions import Tools, has_encoder, is_glyphworld, open_tools, why_skipped
from core.concepts.clip_thresholds import clip_temperature
from core.concepts.concept_tables import AUCS
from core.concepts.crop_store import FOLDER, WHOLE, CropStore
from core.concepts.crops import Cropper
from core.concepts.explain import Explained, Explainer
from core.concepts.falcon import CONFIDENCES, K_CANDIDATES
from core.concepts.groups import Groups
from core.concepts.naming import (
    FALCON,
    MAJORITY,
    ShownWords,
    caption_weights,
    n_named_by_chance,
    naming_of,
    shown_words,
    why_unknown,
    word_mass,
)
from core.concepts.units import (
    Counterfactuals,
    HighActivations,
    ProbeImages,
    Threshold,
    Unit,
    check_k,
    choose_units,
    find_counterfactuals,
    no_groups,
    scan,
    threshold_of,
    why_none,
)
from core.config import ConceptsConfig
from core.errors import SettingsError
from core.measures.intervals import auroc_interval
from core.store import Study
from core.study import manifest as manifests
from core.study.inside import inside
from core.study.progress import Progress
from core.study.writer import StepRun, StepWriter
from core.worlds.word_truth import TruthTable, truth_of

# Let CLIP look at all probe images, whole, and find the words that each of them shows. [torch below]


BLOCK_IMAGES = 32_768  # images compared with the caption bank together


def _look_at_images(cropper: Cropper, rows: np.ndarray, tools: Tools, progress: Progress) -> ShownWords:
    """Find the words that CLIP sees in each image, to name features by.

    Args:
        rows: (n,) rows of the study. tools: with a bank.
    """
    assert tools.bank is not None and tools.retrieve_images is not None
    with progress.stage("whole images", total=len(rows), unit="images") as bar:
        crops = cropper.embed(rows, np.full(len(rows), WHOLE, object), bar)
    places, parts = [np.empty(0, np.int64)], []
    with progress.stage("captions of images", total=int(crops.there.sum()), unit="images") as bar:
        for which, arrays in cropper.store.blocks(crops, BLOCK_IMAGES):
            indices, cosine, _ = tools.retrieve_images(arrays["embeddings"])
            places.append(which)
            parts.append((np.asarray(indices, np.int64), np.asarray(cosine, np.float32)))
            bar.update(len(which))
    width = parts[0][0].shape[1] if parts else 0
    codes = np.full((len(rows), width), -1, np.int64)
    cosine = np.full((len(rows), width), np.nan)
    texts: list[str] = []
    if parts:
        which = np.concatenate(places)
        distinct, code = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
        codes[which] = code.reshape(-1, width)
        cosine[which] = np.concatenate([part[1] for part in parts])
        texts = list(tools.bank.texts(distinct))
    words = words_in(texts, as_they_stand=tools.bank.of_concepts, general=tools.bank.general)
    weights = caption_weights(cosine, clip_temperature(tools.clip))
    return shown_words(word_mass(codes, weights, words), crops.there)


# AUROC of features as detectors of their words, on images whose truth is known (docs/method.md 6.12).


MOST, FEWEST = 2000, 200  # images that are looked at


@dataclass(frozen=True)
class DetectionImages:
    """The images on which words are tested.

    Attributes:
        rows: (n,) rows of the study, ascending. held_out: none of them is a probe image.
    """

    rows: np.ndarray
    held_out: bool

    @classmethod
    def of(cls, study: Study, probe: np.ndarray, *, seed: int = 0) -> DetectionImages:
        """Choose seeded images that are no probe images; the probe images where there are too few others."""
        others = np.setdiff1d(np.arange(study.n_images), probe)
        held_out = len(others) >= min(FEWEST, len(probe))
        rows = others if held_out else np.asarray(probe)
        return cls(np.sort(np.random.default_rng(seed).permutation(rows)[:MOST]), held_out)


def _truths_of(study: Study, rows: np.ndarray, progress: Progress) -> TruthTable:
    """Return the words that are true of some scenes of a Glyphworld study, to judge names of features."""
    image_ids = study.images["image_id"].iloc[rows]
    places = pd.Index(study.source.table["image_id"]).get_indexer(pd.Index(image_ids))
    source: Any = study.source
    truths = []
    with progress.stage("truth", total=len(rows), unit="images") as bar:
        for row in places.tolist():
            truths.append(truth_of(source.plan(row)))
            bar.update()
    return TruthTable(truths)


def _activations_of(study: Study, rows: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """(n, n_groups) float64: the activation of each group on some images: the least of its features, of rows
    of length 1.
    """
    h = unit_rows(study.array("representations").rows(rows))
    return group_activations(h, groups)


def group_activations(h: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Activations of groups to be named in words: (n, n_groups), the least of the features of each.

    Args:
        h: (n, n_features), normalised rows.
    """
    return np.stack([h[:, list(group_features(group))].min(1) for group in groups], axis=1)


def word_aucs(
    groups: Sequence[str],
    words: Sequence[str],
    activations: np.ndarray,
    names: Sequence[str],
    truth: TruthTable,
) -> pd.DataFrame:
    """Area under the ROC curve of a group's activation as a detector of the images of which a word is true.

    Args:
        groups, words: (n,) pairs. activations: (n_images, n_groups) of the groups `names`. truth: of the same
            images.
    Returns:
        auc, auc_low, auc_high: (n,) float64 in [0, 1] with its interval (Newcombe 2006); NaN for a word that
        is true of all images or of none.
    """
    column = {name: at for at, name in enumerate(names)}
    aucs = []
    for group, word in zip(groups, words, strict=True):
        of_group = activations[:, column[group]]
        aucs.append(auroc_interval(of_group, truth.column(word))[:3])
    return pd.DataFrame(np.array(aucs, np.float64).reshape(-1, 3), columns=list(AUCS))


def add_aucs(concepts: pd.DataFrame, study: Study, probe: np.ndarray, progress: Progress) -> dict[str, Any]:
    """Fill the columns auc, auc_low and auc_high of a Glyphworld study's table `concepts`.

    Returns:
        for the summary: n_images and held_out of the images, and the mean over kept words, None without any.
    """
    images = DetectionImages.of(study, probe)
    groups, words = concepts["group"].tolist(), concepts["word"].tolist()
    names = list(dict.fromkeys(groups))
    if not names:
        return {"n_images": 0, "held_out": images.held_out, "mean": None}
    truth = _truths_of(study, images.rows, progress)
    aucs = word_aucs(groups, words, _activations_of(study, images.rows, names), names, truth)
    concepts[list(AUCS)] = aucs.to_numpy()
    of_kept_words = aucs.loc[concepts["kept"].to_numpy(bool), "auc"].dropna()
    mean = float(of_kept_words.mean()) if len(of_kept_words) else None
    return {"n_images": len(images.rows), "held_out": images.held_out, "mean": mean}


# The step `concepts`: explain features and groups of features in words (docs/method.md 6).


CROPS_VERSION = 1  # increased whenever the crop of an image changes
NO_ENCODER = "the study has no encoder, so there are no heatmaps: whole images are used instead of crops"
NAMED = 8  # features listed in a note


def compute_concepts(study: Study, step: StepWriter, config: ConceptsConfig, run: StepRun) -> None:
    """Write tables `concepts`, `explained`, `groups`, `captions`, `highly_activating`, `counterfactuals` and
    `concept_features` (see `_write_concept_tables`), and in the summary k, alpha and the effect of other k.

    Raises:
        SettingsError: no unit qualifies at the given k; the message names a k that works. ClipError,
            CaptionError: CLIP or the captions cannot be opened. EncoderError: the encoder is missing.
    """
    _check_options(config)
    if why := why_skipped(study, config):
        step.summary = {"skipped": why}
        return
    selection = look(study, config, run.progress)
    if not selection.units:
        step.summary = {"skipped": selection.why_none, **selection.numbers()}
        return
    tools = open_tools(study, config, run.device, run.progress)
    explained = explain(study, selection, tools, config, run.progress, run.device)
    if why := _why_refused(explained, tools):
        step.summary = {"skipped": str(why), **selection.numbers(), **tools.about()}
        return
    step.summary = (
        _write_concept_tables(step, study, selection, explained, config, run.progress) | tools.about()
    )
    step.summary["notes"] += [*getattr(tools.clip, "notes", []), *getattr(tools.bank, "notes", [])]
    for note in step.summary["notes"]:
        run.progress.note(f"note: {note}")


def _check_options(config: ConceptsConfig) -> None:
    """Raise SettingsError for invalid options of `concepts`, before any work is done."""
    check_k(config.k)
    naming_of(config)
    if config.confidence not in CONFIDENCES:
        raise SettingsError(f"unknown confidence '{config.confidence}'; known: {', '.join(CONFIDENCES)}")
    if config.gamma not in (None, "auto") and not isinstance(config.gamma, (int, float)):
        raise SettingsError(f"gamma must be a cosine or 'auto', not '{config.gamma}'")
    if not 0 < config.threshold <= 1:
        raise SettingsError(f"the crop threshold must lie above 0 and up to 1, got {config.threshold:g}")
    for name in ("n_captions", "n_counterfactuals"):
        if getattr(config, name) < 1:
            raise SettingsError(f"{name} must be at least 1, got {getattr(config, name)}")


@dataclass(frozen=True)
class Selection:
    """Everything to be explained, determined from the representations alone."""

    probe: ProbeImages
    activations: HighActivations
    threshold: Threshold
    groups: Groups
    units: list[Unit]
    counterfactuals: list[Counterfactuals]
    why_none: str = ""

    def numbers(self) -> dict[str, Any]:
        moments, threshold = self.activations.moments, self.threshold
        at_k = [line["n_explainable"] for line in threshold.per_k if line["k"] == threshold.k]
        n_activating = len(self.activations.above(threshold.alpha)[0])
        n_entries = len(self.probe) * self.probe.n_features
        numbers: dict[str, Any] = {
            "k": threshold.k,
            "alpha": threshold.alpha,
            "mean": moments.mean,
            "std": moments.std,
        }
        numbers |= {
            "n_images": len(self.probe),
            "n_features": self.probe.n_features,
            "per_k": threshold.per_k,
        }
        numbers["n_explainable"] = at_k[0] if at_k else 0
        numbers["highly_activating_share"] = n_activating / n_entries
        return numbers


def look(study: Study, config: ConceptsConfig, progress: Progress) -> Selection:
    """Find what the step `concepts` names: k, highly activating and counterfactual images, groups.

    With `--k auto` and no feature that qualifies at any k, there are no units, and `why_none` gives the
    reason.
    """
    probe = ProbeImages(study, config.split)
    with progress.stage("activations"):
        activations = scan(probe, [min(K_CANDIDATES), *([] if config.k == "auto" else [float(config.k)])])
        threshold = threshold_of(activations, config.k, min_images=config.min_images)
        groups = activations.groups(threshold.alpha)
        nothing = not (activations.n_activating(threshold.alpha) > config.min_images).any()
        if nothing and config.k == "auto" and config.features is None:
            why = why_none(probe, activations, threshold, config.min_images)
            return Selection(probe, activations, threshold, groups, [], [], why)
        units = choose_units(probe, activations, threshold, groups, config)
        counterfactuals = find_counterfactuals(
            probe, activations, units, beta=config.beta, n=config.n_counterfactuals
        )
    return Selection(probe, activations, threshold, groups, units, counterfactuals)


def explain(
    study: Study,
    selection: Selection,
    tools: Tools,
    config: ConceptsConfig,
    progress: Progress,
    device: str | torch.device,
) -> Explained:
    """Compute crops, captions and words of all units, and the CLIP cosine of groups of one feature."""
    cropper = make_cropper(study, tools, config, device)
    by_majority = naming_of(config) == MAJORITY
    rows, shown_words = selection.probe.rows, None
    if by_majority:
        shown_words = _look_at_images(cropper, rows, tools, progress)
    explainer = Explainer(
        cropper, rows, config, tools.retrieve, tools.bank, progress, _lone_groups(selection), shown_words
    )
    return explainer.explain(selection.units, selection.counterfactuals)


def _why_refused(explained: Explained, tools: Tools) -> Record | None:
    """Say why the shipped words name nothing here: CLIP does not know such pictures. None where they do, and
    for captions that people chose.
    """
    if explained.shown_words is None or getattr(tools.bank, "name", None) != PHOTOGRAPHS:
        return None
    limits, units = explained.thresholds, [unit.unit.positions for unit in explained.units]
    by_chance = n_named_by_chance(
        explained.shown_words, units, least=limits.min_score, most_elsewhere=limits.counter_score
    )
    n_named = sum(bool(unit.kept_words) for unit in explained.units)
    return why_unknown(n_named, by_chance, len(units), tools.clip.name)


def make_cropper(study: Study, tools: Tools, config: ConceptsConfig, device: str | torch.device) -> Cropper:
    """Build what crops images to a feature's heat and embeds them; the encoder is loaded when needed."""
    from core.analysis.heatmaps_on_demand import study_encoder
    from core.concepts.crops import Cropper
    from core.concepts.whole_pictures import kept_vectors

    store = CropStore(inside(study.path, f"{FOLDER}/{_crop_key(study, tools, config)}"))
    encoder = partial(study_encoder, study, device) if config.crop and has_encoder(study) else None
    kept = None if tools.captioner else kept_vectors(study, tools.clip)
    captions = (tools.captioner, config.n_captions)
    return Cropper(study, store, encoder, tools.clip, config.threshold, *captions, kept)


def _crop_key(study: Study, tools: Tools, config: ConceptsConfig) -> str:
    """Digest of all that a crop's embedding by CLIP depends on, besides the image and the feature."""
    encoder = study.facts(EmbedFacts).encoder
    items = study.manifest["items"]
    made_from: dict[str, Any] = {"version": CROPS_VERSION}
    made_from["images"] = study.manifest["steps"]["embed"]["inputs"].get("@images")
    made_from["rows"] = manifests.item_digest(items["images"])
    made_from["encoder"] = [encoder.fingerprint, encoder.layer] if has_encoder(study) else None
    if study.below:
        made_from |= {"codes": manifests.item_digest(items["representations"]), "sums": "exact"}
    made_from["threshold"] = config.threshold
    made_from["clip"] = tools.clip.picture_fingerprint
    made_from["captioner"] = [config.captioner, config.n_captions] if config.captioner else None
    return manifests.digest(made_from)[:20]


def _lone_groups(selection: Selection) -> list[tuple[str, np.ndarray]]:
    """Return name and images of the groups of one feature that words explain; their crops are its own."""
    explained = {unit.features for unit in selection.units}
    single = np.flatnonzero(selection.groups.n_members == 1)
    groups = [selection.groups[int(group)] for group in single]
    return [(group.name, group.rows) for group in groups if group.features in explained]


def _group_cosines(selection: Selection, explained: Explained) -> dict[str, tuple[float, float]]:
    """Compute the mean pairwise CLIP cosine of Algorithm 1's groups, without and with the diagonal."""
    joint = {
        unit.unit.name: (unit.cosine, unit.cosine_diagonal)
        for unit in explained.units
        if len(unit.unit.features) > 1
    }
    names = [name for name, _ in _lone_groups(selection)]
    lone = {}
    for name, (cosine, with_diagonal) in zip(names, explained.subset_cosines, strict=True):
        lone[name] = (float(cosine), float(with_diagonal))
    return joint | lone


def _write_concept_tables(
    step: StepWriter,
    study: Study,
    selection: Selection,
    explained: Explained,
    config: ConceptsConfig,
    progress: Progress,
) -> dict[str, Any]:
    """Write every table of the step `concepts`, and return its summary."""
    ids = concept_tables.Ids(selection.probe)
    concepts = concept_tables.concept_table(explained.units, ids)
    aucs = None
    if is_glyphworld(study):
        aucs = add_aucs(concepts, study, selection.probe.rows, progress)
    limits = explained.thresholds
    gamma = limits.gamma
    about = concept_tables.explained_table(explained, config)
    groups = concept_tables.group_table(
        selection.groups, _group_cosines(selection, explained), gamma, config.min_images
    )
    step.table("concepts", concepts)
    step.table("explained", about)
    step.table("groups", groups)
    step.table("captions", concept_tables.caption_table(explained, ids))
    step.table("highly_activating", concept_tables.activating_table(explained, ids))
    step.table("counterfactuals", concept_tables.counterfactual_table(explained.units, ids))
    step.table(
        "concept_features",
        concept_tables.explainability_table(selection.activations, selection.threshold, config),
    )
    single = (about["n_features"] == 1).to_numpy()
    joint = groups["n_features"] > 1
    alone = about.loc[about["n_counterfactuals"] == 0, "group"].tolist()
    interpretable = groups["interpretable"]
    counts = {
        "n_explained_features": single,
        "n_explained_groups": ~single,
        "n_interpretable_features": about["interpretable"] & single,
        "n_interpretable_groups": interpretable,
        "n_interpretable_joint_groups": interpretable & joint,
    }
    summary = selection.numbers()
    summary |= {name: int(np.count_nonzero(mask)) for name, mask in counts.items()}
    summary["naming"] = naming_of(config)
    summary["word_auc"] = aucs
    summary["gamma"] = gamma
    summary["usual_cosine"] = explained.usual_cosine
    summary["n_concepts"] = int(concepts.loc[concepts["kept"], "word"].nunique())
    summary["n_without_words"] = int(np.count_nonzero(about["n_kept"] == 0))
    summary["n_without_counterfactuals"] = len(alone)
    summary["n_missing"] = explained.n_missing
    summary["n_without_heat"] = int((explained.crops.there & ~explained.crops.hot).sum())
    summary["min_score"] = limits.min_score
    summary["counter_score"] = limits.counter_score
    summary["fitting_cosine"] = limits.fitting if np.isfinite(limits.fitting) else None
    summary["notes"] = _concept_notes(study, selection, explained, alone, config)
    return summary


def _concept_notes(
    study: Study, selection: Selection, explained: Explained, alone: Sequence[str], config: ConceptsConfig
) -> list[str]:
    """Return what a reader of the features' words should know, one sentence each."""
    notes = []
    if config.crop and not has_encoder(study):
        notes.append(NO_ENCODER)
    if explained.thresholds.note:
        notes.append(explained.thresholds.note)
    if alone and naming_of(config) == FALCON:
        more = f" and {len(alone) - NAMED} more" if len(alone) > NAMED else ""
        half = np.median([unit.largest_beta for unit in explained.units])
        features = f"{len(alone)} of {len(explained.units)}"
        largest_for_half = np.floor(half * 100) / 100
        names = ", ".join(alone[:NAMED]) + more
        notes.append(
            f"no counterfactual image at beta = {config.beta:g} for {features} (their words are kept without "
            f"contrast; beta = {largest_for_half:g} would find one for half of all): {names}"
        )
    joint = selection.groups.larger_than(config.min_images)
    if config.features is None and not any(len(group.features) > 1 for group in joint):
        notes.append(no_groups(selection.threshold, config.min_images))
    if config.features is not None:
        missing = set(config.features) - {unit.features[0] for unit in selection.units}
        if missing:
            names = ", ".join(map(group_name, ((feature,) for feature in sorted(missing))))
            notes.append(f"no highly activating image at k = {selection.threshold.k:g} for feature {names}")
    if explained.n_missing:
        notes.append(f"{explained.n_missing} images are missing or unreadable and were left out")
    return notes

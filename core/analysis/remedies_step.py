"""The step `remedies`: heads refitted out of fold under each remedy, and their gains (docs/method.md 3.7).

No image passes through the encoder: everything is of stored representations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from core.analysis import crossfit
from core.analysis.judged_images import JudgedImages, spurious_features
from core.analysis.linear_probe import Curvature, Standard
from core.analysis.probe_penalty import best_strength
from core.analysis.remedies import (
    BALANCED,
    CHANGES,
    CORRECTED,
    FEATURES_OFF,
    IMAGES,
    OF_ANSWERS,
    OF_IMAGES,
    REFIT,
    TABLE,
    TEMPERATURE,
    TOGETHER,
    WITHOUT_WRONG,
    WRONG,
    HeadAnswers,
    Judged,
    best_remedy,
    compare_heads,
    remedy_row,
    remedy_table,
    untried_row,
    why_none_left_out,
    why_not_tried,
)
from core.analysis.remedy_recipes import (
    Heads,
    ImageFacts,
    Pool,
    Training,
    head_answers_of,
    prepared,
    slice_members,
    worst_candidate,
)
from core.answers.answer import PROBE, evaluated
from core.config import RemediesConfig
from core.measures.evaluate import class_column
from core.measures.finder import MIN_IMAGES, slice_of
from core.measures.label_issues import all_decided, label_issues
from core.measures.traits import tokens_of
from core.store import Study
from core.study.label_decisions import decisions_digest
from core.study.writer import StepRun, StepWriter

WEIGHTS, CLASSES = "remedy_weights", "remedy_classes"
FINAL = -1  # in place of a fold: the head that is handed out
LEAST_FOLDS = 3  # of which two are left out at a time


class Refits:
    """Heads by remedy, fitted in every fold and to all images of `final`.

    Attributes:
        answers: by remedy, what heads that have not seen an image say of it. heads: by remedy, (n_classes,
            n_features + 1) fitted to `final`. changed: remedies that change what some head is fitted to.
    """

    def __init__(self, images: JudgedImages, fitter: Heads, facts: ImageFacts, final: np.ndarray):
        self.images, self.fitter, self.facts, self.final = images, fitter, facts, final
        self.answers: dict[str, HeadAnswers] = {}
        self.heads: dict[str, np.ndarray] = {}
        self.changed: set[str] = set()
        self._bases: dict[int, tuple[Standard, Training, Tensor]] = {}
        self._inner_of_final: dict[int, np.ndarray] = {}

    def base(self) -> None:
        """Refit without a remedy."""
        for fold in (*range(self.images.n_folds), FINAL):
            at = self.final if fold == FINAL else np.flatnonzero(self.images.folds != fold)
            plain, standard = self.fitter.plain(at), self._standard(fold)
            optimum = self.fitter.fitted(plain, standard)
            self._bases[fold] = standard, plain, optimum
            self._keep(REFIT, fold, self.fitter.raw_weights(optimum, plain, standard))

    def under(self, *remedies: tuple[str, ...]) -> None:
        """Refit under each of some remedies, or several together; where nothing changes, the base answers."""
        for fold, (standard, plain, optimum) in self._bases.items():
            pool = self._pool(fold, plain.at)
            for names in remedies:
                training, fitted = prepared(names, plain, pool), optimum
                if not training.same(plain):
                    self.changed.add(TOGETHER.join(names))
                if not training.fits_as(plain):
                    fitted = self.fitter.fitted(training, standard, optimum)
                weights = self.fitter.raw_weights(fitted, training, standard)
                self._keep(TOGETHER.join(names), fold, weights)

    def _keep(self, remedy: str, fold: int, weights: np.ndarray) -> None:
        if fold == FINAL:
            self.heads[remedy] = weights
            return
        held_out = np.flatnonzero(self.images.folds == fold)
        of_fold = head_answers_of(self.fitter.logits(weights, held_out), self.images.truth[held_out])
        answers = self.answers.setdefault(remedy, HeadAnswers.unknown(len(self.images.rows)))
        answers.put(held_out, of_fold)

    def _standard(self, fold: int) -> Standard:
        fitter = self.fitter
        return fitter.standard_of(self.final) if fold == FINAL else crossfit.without(fitter.parts, fold)

    def _pool(self, fold: int, at: np.ndarray) -> Pool:
        """The images that the head of a fold may learn from."""
        if fold != FINAL:
            return Pool(self.facts, at, self.fitter.unseen(fold)[at])
        logits = np.empty((len(at), len(self.images.names)), np.float32)
        folds = self.images.folds[at]
        for other in np.unique(folds).tolist():
            in_fold = folds == other
            if other not in self._inner_of_final:
                used = at[~in_fold]
                standard, training = self.fitter.standard_of(used), self.fitter.plain(used)
                optimum = self.fitter.fitted(training, standard)
                self._inner_of_final[other] = self.fitter.raw_weights(optimum, training, standard)
            logits[in_fold] = self.fitter.logits(self._inner_of_final[other], at[in_fold])
        return Pool(self.facts, at, logits)


def compute_remedies(study: Study, step: StepWriter, config: RemediesConfig, run: StepRun) -> None:
    """Write the tables `remedies` and `remedy_images`, and a head of every remedy.

    `remedy_weights` (n_heads, n_classes, n_features + 1) float32, for raw rows, the last column the bias;
    its heads are those of `heads` in the summary, its classes those of the table `remedy_classes`. They are
    fitted to train images alone, so that the evaluation images stay unseen; to all without any.

    Without labels, or with too few images, only the reason is written.
    """
    images = JudgedImages.of(study, config)
    if reason := _why_no_remedies(study, images):
        step.summary = {"skipped": reason}
        return
    facts = _facts(study, images, config)
    refits = _refits(study, images, facts, config, run)
    why = {name: reason for name in OF_ANSWERS if (reason := _no_reason_to_try(name, study, facts, refits))}
    with run.progress.stage("remedies", total=_n_fits(images, why), unit="fits") as bar:
        refits.fitter.after_each = lambda: bar.update(1)
        refits.base()
        refits.under(*((name,) for name in (*OF_ANSWERS, TEMPERATURE) if name not in why))
        scorer = Scorer(study, images, facts, refits, config)
        rows = scorer.singles(why)
        if pair := best_pair(rows):
            refits.under(pair)
            rows.insert(-1, scorer.row(TOGETHER.join(pair)))
    rows.insert(0, scorer.refit_row())
    table = remedy_table(rows)
    step.table(TABLE, table)
    step.table(IMAGES, scorer.changed_images(table))
    _write_heads(study, step, images, refits)
    step.summary = {**scorer.summary(table), "n_fitted": len(refits.final), **_settings(study, refits, facts)}


def _why_no_remedies(study: Study, images: JudgedImages) -> str | None:
    """Explain why no head can be refitted out of fold for remedies, or return None."""
    if not study.labelled:
        return "the images have no labels"
    if len(np.unique(images.labels)) < 2:
        return "fewer than two classes have two images that are no copies of each other"
    if images.n_folds < LEAST_FOLDS:
        return f"no class lies in {LEAST_FOLDS} folds, so nothing can be learnt inside two of them"
    return None


def _facts(study: Study, images: JudgedImages, config: RemediesConfig) -> ImageFacts:
    mask = np.zeros(study.n_images, bool)
    mask[images.rows] = True
    return ImageFacts(
        rows=images.rows,
        labels=images.labels,
        truth=images.truth,
        stays=images.stays,
        tokens=tokens_of(study, mask),
        study_labels=np.asarray(class_column(study, "label")),
        spurious=spurious_features(study, config),
        feature_scale=config.feature_scale,
    )


def _refits(
    study: Study, images: JudgedImages, facts: ImageFacts, config: RemediesConfig, run: StepRun
) -> Refits:
    array = study.array("representations")
    given = crossfit.Labelled(array, images.rows, images.labels, images.units, images.folds)
    parts = crossfit.moments_by_part(array, images.rows, images.folds, images.n_folds)
    everything = given.of(np.arange(len(images.rows)), crossfit.without(parts))
    curvature = Curvature.of(everything.batches(run.device), config.seed)
    with run.progress.stage("strength", total=len(config.strengths), unit="strengths") as bar:
        losses = crossfit.search_strength(
            given,
            config.strengths,
            config.inner_folds,
            config.most_searched,
            config.seed,
            curvature,
            run.device,
            lambda: bar.update(1),
        )
    strength = best_strength(losses, config.strengths)
    heads = Heads(
        array,
        images.rows,
        images.labels,
        images.folds,
        parts,
        len(images.names),
        strength,
        curvature,
        run.device,
    )
    in_train = ~study.is_val[images.rows]
    final = in_train if len(np.unique(images.labels[in_train])) > 1 else np.ones(len(images.rows), bool)
    return Refits(images, heads, facts, np.flatnonzero(final))


def _no_reason_to_try(name: str, study: Study, facts: ImageFacts, refits: Refits) -> str:
    """Why there is no reason to try a remedy, as far as that is known before; "" where there is one."""
    if name == WITHOUT_WRONG and all_decided(label_issues(study, np.ones(study.n_images, bool))):
        return why_none_left_out()
    sizes = np.bincount(facts.labels)
    nothing = {
        CORRECTED: not (facts.truth != facts.labels).any(),
        BALANCED: len(np.unique(sizes[sizes > 0])) == 1,
        FEATURES_OFF: not len(facts.spurious) or facts.feature_scale == 1.0,
    }
    return why_not_tried(name) if nothing.get(name) else ""


def _n_fits(images: JudgedImages, why: Mapping[str, str]) -> int:
    """Count the fits of the base, the inner folds, each remedy but temperature, and a pair."""
    n = images.n_folds
    return (n + 1) * (len(OF_ANSWERS) - len(why) + 2) + n * (n - 1) // 2 + n


def best_pair(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Choose the two remedies of the head that are tried together.

    The two remedies that gain most alone of those that change an answer, in the order in which they are
    applied; () of fewer than two.
    """
    gains = {str(row["remedy"]): row["gain"] for row in rows if row["mended"] or row["broken"]}
    ranked = sorted((name for name in OF_ANSWERS if name in gains), key=lambda name: -gains[name])
    return tuple(name for name in OF_ANSWERS if name in ranked[:2]) if len(ranked) > 1 else ()


class Scorer:
    """Compares every remedy with the refit, on the images whose truth is known."""

    def __init__(
        self, study: Study, images: JudgedImages, facts: ImageFacts, refits: Refits, config: RemediesConfig
    ):
        self.study, self.images, self.refits, self.config = study, images, refits, config
        self.known = np.flatnonzero(images.truth >= 0)
        self.truth = images.truth[self.known]
        self.base = self._answers(REFIT)
        wrong = self.base.predicted != self.truth
        self.worst_class, in_class = self._worst_class(wrong)
        self.worst_slice, in_slice = self._worst_slice(facts, wrong)
        self.judged = Judged(self.truth, images.units[self.known], in_slice, in_class)

    def _answers(self, remedy: str) -> HeadAnswers:
        return self.refits.answers[remedy].of(self.known)

    def _worst_class(self, wrong: np.ndarray) -> tuple[str, np.ndarray]:
        """The class with the largest error rate of those with MIN_IMAGES images; "" without such a one."""
        sizes = np.bincount(self.truth, minlength=len(self.images.names))
        errors = np.bincount(self.truth, wrong, minlength=len(sizes))
        if not (sizes >= MIN_IMAGES).any():
            return "", np.zeros(len(wrong), bool)
        rates = np.where(sizes >= MIN_IMAGES, errors / np.maximum(sizes, 1), -1)
        worst = int(rates.argmax())
        return str(self.study.class_names[self.images.names[worst]]), self.truth == worst

    def _worst_slice(self, facts: ImageFacts, wrong: np.ndarray) -> tuple[str, np.ndarray]:
        """The text of the slice that does worst under the base, and its images; "" without any."""
        rows, n_images = self.images.rows[self.known], self.study.n_images
        mask, is_wrong = np.zeros(n_images, bool), np.zeros(n_images, bool)
        mask[rows], is_wrong[rows] = True, wrong
        if facts.tokens is None:
            return "", np.zeros(len(rows), bool)
        tokens = facts.tokens.of(mask)
        worst = worst_candidate(tokens, is_wrong, facts.study_labels, mask)
        if worst is None:
            return "", np.zeros(len(rows), bool)
        label, trait = int(worst["label"]), int(worst["trait"])
        members = slice_members(tokens, facts.study_labels, mask, label, trait)
        name = self.study.class_names[label] if label >= 0 else None
        return str(slice_of(tokens, trait, name, None)), members[rows]

    def singles(self, why: Mapping[str, str]) -> list[dict[str, Any]]:
        """A row for each remedy alone."""
        rows = []
        for name in (*OF_ANSWERS, TEMPERATURE):
            reason = why.get(name) or ("" if name in self.refits.changed else why_not_tried(name))
            rows.append(untried_row(name, reason) if reason else self.row(name))
        return rows

    def row(self, remedy: str) -> dict[str, Any]:
        after = self._answers(remedy)
        return remedy_row(remedy, compare_heads(self.judged, self.base, after, seed=self.config.seed))

    def refit_row(self) -> dict[str, Any]:
        """What refitting alone does to the answer in use, on the images that it has not been fitted to."""
        in_use = self._in_use()
        if in_use is None or not in_use[1].any():
            return untried_row(REFIT, why_not_tried(REFIT))
        before, unseen = in_use
        judged = Judged(*(part[unseen] for part in vars(self.judged).values()))
        numbers = compare_heads(judged, before.of(unseen), self.base.of(unseen), seed=self.config.seed)
        return remedy_row(REFIT, numbers)

    def _in_use(self) -> tuple[HeadAnswers, np.ndarray] | None:
        """What the answer in use says of the images, and (n,) bool: those that it has not been fitted to."""
        read = self.study.answering(self.config.answer)
        if not read.has(PROBE):
            return None
        rows = self.images.rows[self.known]
        table = read.table(PROBE, ["predicted", "confidence"]).iloc[rows]
        names = np.asarray(self.study.class_names, object)[self.images.names]
        predicted = pd.Index(names).get_indexer(pd.Index(table["predicted"].to_numpy(object)))
        unknown = np.full(len(rows), np.nan)
        answers = HeadAnswers(predicted, table["confidence"].to_numpy(float, na_value=np.nan), unknown)
        return answers, evaluated(self.study, read.answer_kind)[rows] & table["predicted"].notna().to_numpy()

    def changed_images(self, table: pd.DataFrame) -> pd.DataFrame:
        """Table `remedy_images`: errors of the refit, and images that a remedy makes right or wrong."""
        names = np.asarray(self.study.class_names, object)[self.images.names]
        ids = self.study.column("images", "image_id").to_numpy(object)[self.images.rows[self.known]]
        was = self.judged.right(self.base)
        parts = [_changed_rows(REFIT, ids, names, (self.truth, *[self.base.predicted] * 2), ~was, WRONG)]
        for remedy in table["remedy"]:
            if remedy in (REFIT, TEMPERATURE) or remedy not in self.refits.answers:
                continue
            after = self._answers(remedy)
            now = self.judged.right(after)
            codes = (self.truth, self.base.predicted, after.predicted)
            for change, mask in zip(CHANGES, (now & ~was, was & ~now), strict=True):
                parts.append(_changed_rows(str(remedy), ids, names, codes, mask, change))
        return pd.concat(parts).astype("str").reset_index(drop=True)

    def summary(self, table: pd.DataFrame) -> dict[str, Any]:
        read = self.study.answering(self.config.answer)
        in_use = self._in_use()
        right, unseen = None, np.zeros(len(self.known), bool)
        is_changed = self.images.labels[self.known] != self.truth
        if in_use is not None and in_use[1].any():
            unseen = in_use[1]
            right = float((in_use[0].predicted == self.truth)[unseen].mean())
        of_answers = {
            "answer": read.answer_name if in_use is not None else "",
            "accuracy_in_use": right,
            "accuracy": float((self.base.predicted == self.truth).mean()),
            "log_loss": float(np.mean(self.base.log_loss)),
        }
        of_images = {
            "n": len(self.known),
            "n_in_use": int(unseen.sum()),
            "n_changed": int(is_changed.sum()),
            "n_in_use_changed": int((is_changed & unseen).sum()),
            "n_units": len(np.unique(self.judged.units)),
            "n_undecided": len(self.images.rows) - len(self.known),
        }
        of_worst = {
            "worst_slice": self.worst_slice,
            "n_worst_slice": int(self.judged.in_slice.sum()),
            "worst_class": self.worst_class,
            "n_worst_class": int(self.judged.in_class.sum()),
        }
        return of_answers | of_images | of_worst | {"best": best_remedy(table)}


def _changed_rows(
    remedy: str,
    ids: np.ndarray,
    names: np.ndarray,
    codes: Sequence[np.ndarray],
    mask: np.ndarray,
    change: str,
) -> pd.DataFrame:
    """Rows of `remedy_images` of the images of a mask. codes: of truth, answer before, answer after."""
    values = (remedy, ids[mask], *(names[code[mask]] for code in codes), change)
    return pd.DataFrame(dict(zip(OF_IMAGES, values, strict=True)))


def _settings(study: Study, refits: Refits, facts: ImageFacts) -> dict[str, Any]:
    return {
        "strength": refits.fitter.strength,
        "heads": list(refits.heads),
        "spurious": facts.spurious.tolist(),
        "n_corrected": int(np.count_nonzero(facts.truth != facts.labels)),
        "decisions": decisions_digest(study),
    }


def _write_heads(study: Study, step: StepWriter, images: JudgedImages, refits: Refits) -> None:
    names = np.asarray(study.class_names, object)[images.names]
    step.table(CLASSES, pd.DataFrame({"label": pd.array(names, dtype="str")}))
    step.vector(WEIGHTS, np.stack(list(refits.heads.values())))

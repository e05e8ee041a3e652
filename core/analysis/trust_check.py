"""What Q is worth here: a verdict, and facts beside it (docs/method.md 2.5). No torch.

Facts about the representations stand beside the verdict, and are never given as its cause: encoders with few
near-zero entries have been measured with a Q that works, and encoders with many with one that does not.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.common.dataframes import numbers, safe_divide
from core.common.records import Record, Templates
from core.common.score_names import score_label
from core.common.step_facts import FeaturesFacts, QualityFacts
from core.common.verdict_words import Verdict
from core.measures.score_verdicts import ScoreEvidence, judge_score, score_evidence
from core.measures.scores import on_most_images, score_aurocs
from core.store import Study
from core.study.missing import OF_ANSWER

Q = "q_score"
READ = ("score", "label_free", "auroc", "n", "base_rate_error", "note")  # of the table `quality_metrics`
_say = Templates.beside(__file__)


@dataclass(frozen=True)
class Evidence:
    """What the trust check knows; NaN or None if unknown."""

    of_q: ScoreEvidence = field(default_factory=lambda: ScoreEvidence(Q))
    near_zero: float = math.nan  # share of entries below 1 % of their row's maximum
    negative: float = math.nan  # share of negative entries
    mean_firing: float = math.nan  # mean |L_i|
    nonempty: float = math.nan  # share of images with L_i & D non-empty
    rank: int | None = None  # Q's rank among the scores by AUROC, 1 = best
    n_scores: int = 0
    ahead_label_free: tuple[str, ...] = ()  # other label-free scores with a higher AUROC than Q, best first
    n_label_free: int = 0  # number of other label-free scores


@dataclass(frozen=True)
class TrustCheck:
    """The verdict on Q, and the facts beside it, empty where none is known."""

    verdict: Verdict
    facts: Record | Literal[""]

    @property
    def word(self) -> str:
        """One of the four words, or "" where there is too little for one."""
        return self.verdict.word

    @property
    def sentence(self) -> Record:
        return self.verdict.sentence


def check_trust(evidence: Evidence) -> TrustCheck:
    """Say whether to take Q as a score: the verdict by every score's rule, `judge_score`, and the facts."""
    return TrustCheck(judge_score(evidence.of_q), _facts(evidence))


def _facts(evidence: Evidence) -> Record | Literal[""]:
    """Return what is known beside the verdict, empty where nothing is."""
    shares = {
        "near_zero": evidence.near_zero,
        "negative": evidence.negative,
        "firing": evidence.mean_firing,
        "nonempty": evidence.nonempty,
    }
    parts = [_say(kind, value=value) for kind, value in shares.items() if not math.isnan(value)]
    if evidence.rank is not None and evidence.n_scores > 1:
        parts.insert(0, _place(evidence.rank, evidence))
    return _say("also", parts=tuple(parts)) if parts else ""


def _place(rank: int, evidence: Evidence) -> Record:
    """Return Q's rank, and how many other label-free scores have a higher AUROC, and which the highest."""
    if not evidence.ahead_label_free:
        return _say("rank", n=rank, of=evidence.n_scores)
    n, of = len(evidence.ahead_label_free), evidence.n_label_free
    ahead = _say(
        "one_ahead" if n == 1 else "ahead", n=n, of=of, what=score_label(evidence.ahead_label_free[0])
    )
    return _say("rank_behind", n=rank, of=evidence.n_scores, parts=(ahead,))


def evidence_of(facts: QualityFacts, metrics: pd.DataFrame, of_q: ScoreEvidence | None = None) -> Evidence:
    """Collect the evidence for the advice on whether to trust the Q-Score in a study.

    Args:
        facts: near_zero_share, negative_share, mean_firing, share_nonempty.
        metrics: table `quality_metrics`: score, label_free, auroc, n. of_q: what is known of Q as a score.
    """
    metrics = metrics.loc[on_most_images(metrics)]
    rated = metrics.dropna(subset="auroc").sort_values("auroc", ascending=False, kind="stable")
    free = rated.loc[rated["label_free"].to_numpy(bool), "score"].tolist()
    ahead, is_rated = _better(rated), Q in rated["score"].tolist()
    ahead_label_free = [name for name in ahead if name in free] if is_rated else []
    others_label_free = [name for name in free if name != Q]
    rank = len(ahead) + 1 if is_rated else None
    near_zero, negative = _float(facts.near_zero_share), _float(facts.negative_share)
    mean_firing, nonempty = _float(facts.mean_firing), _float(facts.share_nonempty)
    n_scores, n_label_free = len(rated), len(others_label_free)
    ahead_without_labels = tuple(ahead_label_free)
    return Evidence(
        of_q or ScoreEvidence(Q),
        near_zero=near_zero,
        negative=negative,
        mean_firing=mean_firing,
        nonempty=nonempty,
        rank=rank,
        n_scores=n_scores,
        ahead_label_free=ahead_without_labels,
        n_label_free=n_label_free,
    )


def _better(rated: pd.DataFrame) -> list[str]:
    """Return the scores with a higher AUROC than Q in the three digits that are shown, best first."""
    auroc = dict(zip(rated["score"].tolist(), rated["auroc"].to_numpy(float).round(3), strict=True))
    return [name for name, value in auroc.items() if value > auroc.get(Q, np.inf)]


def _float(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def read_check(study: Study) -> TrustCheck | None:
    """Say whether to take Q as a score, in a study as it reads with its answer; None without `quality`.

    Sentences that older versions stored are not read: they gave sparsity as a cause.
    """
    facts = headline_of_all(study)
    is_measured = study.answer is not None or facts.says_auroc
    if facts.skipped or not is_measured or not study.has("quality_metrics"):
        return None
    metrics = scores_of_answer(study)
    row = {"auroc": np.nan, "n": 0, "n_wrong": 0}
    row = next(iter(metrics.loc[metrics["score"] == Q].to_dict("records")), row)
    return check_trust(evidence_of(facts, metrics, score_evidence(study, Q, row)))


def headline_of_all(study: Study) -> QualityFacts:
    """Return facts for trust in Q: `headline`, with shares that only `features` of older studies says."""
    of_q, of_features = headline(study), study.facts(FeaturesFacts)
    names = ("near_zero_share", "negative_share", "dead_share", "mean_firing")
    lacking = {name: getattr(of_features, name) for name in names if getattr(of_q, name) is None}
    return replace(of_q, **lacking)


def headline(study: Study) -> QualityFacts:
    """Return what the advice on the score Q rests on: facts of `quality`, for another answer its own.

    Those of another answer than the probe are measured on its evaluation images, without what needs
    resampling.
    """
    if study.answer is None or not study.has("quality_metrics"):
        return study.facts(QualityFacts)
    metrics = scores_of_answer(study)
    of_q = metrics.loc[metrics["score"] == Q].to_dict("records")
    if not of_q:
        return QualityFacts(skipped=OF_ANSWER)
    row, table = of_q[0], study.kept("quality")
    between = float(row["auroc_low"]), float(row["auroc_high"])
    interval = None if np.isnan(between).any() else between
    mean_firing = numbers(table, "n_firing")[study.is_val].mean()
    nonempty = (numbers(table, "n_firing_discriminative") > 0)[study.is_val].mean()
    auroc, base_rate = _float_or_none(row["auroc"]), _float_or_none(1 - row["base_rate_error"])
    return replace(
        study.facts(QualityFacts),
        skipped="",
        q_auroc=auroc,
        q_auroc_interval=interval,
        base_rate=base_rate,
        mean_firing=float(mean_firing),
        share_nonempty=float(nonempty),
    )


def scores_of_answer(study: Study) -> pd.DataFrame:
    """Every score's columns of READ and its interval, for advice on scores: stored, or of another answer."""
    if study.answer is None:
        return study.table("quality_metrics", [*READ, "auroc_low", "auroc_high"])
    aurocs = score_aurocs(study, study.is_val)
    renamed = aurocs.rename(columns={"low": "auroc_low", "high": "auroc_high", "reason": "note"})
    return renamed.assign(base_rate_error=safe_divide(aurocs["n_wrong"], aurocs["n"], empty=np.nan))


def _float_or_none(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)

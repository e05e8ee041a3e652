"""Can Q be trusted for this encoder and these images? In numbers and words (docs/method.md 2.5). No torch.

The AUROC of Q with its interval decides. Facts about the representations stand beside the verdict, and are
never given as its cause: encoders with few near-zero entries have been measured with a Q that works, and
encoders with many with one that does not.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.common.dataframes import numbers, safe_divide
from core.common.records import Record, Templates
from core.common.score_names import score_label
from core.common.statistics.chance import CHANCE, against_chance, outcomes, untold
from core.common.step_facts import FeaturesFacts, QualityFacts
from core.measures.score_aurocs import score_aurocs
from core.measures.scores import on_most_images
from core.storage.missing import OF_ANSWER
from core.store import Study

TRUSTED, UNRELIABLE, UNTESTED = "trusted", "unreliable", "untested"
OF_USE = 0.55  # with many images an AUROC of .51 is surely above chance, and of no use
Q = "q_score"
READ = ("score", "label_free", "auroc", "n", "base_rate_error", "note")  # of the table `quality_metrics`
UNTESTED_KINDS = ("untested", "too_few", "no_interval")
_say = Templates.beside(__file__)


@dataclass(frozen=True)
class Evidence:
    """What the trust check knows; NaN or None if unknown."""

    auroc: float
    low: float
    high: float
    n_wrong: int = 0  # images behind the AUROC
    n_right: int = 0
    why_untested: str = ""
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
    """The sentence that gives the verdict, and the facts beside it, empty where none is known."""

    sentence: Record
    facts: Record | Literal[""]

    @property
    def verdict(self) -> str:
        """Trusted, unreliable or untested."""
        kind = self.sentence.kind
        if kind in UNTESTED_KINDS:
            return UNTESTED
        return TRUSTED if kind == "trusted" else UNRELIABLE


def check_trust(evidence: Evidence) -> TrustCheck:
    """Return the verdict on Q, and the facts beside it, as records.

    It is trusted if the AUROC's interval lies above 0.5 and not wholly below 0.55, else unreliable. Without
    an AUROC, and from too few errors (`against_chance`), it is untested.
    """
    return TrustCheck(_judged(evidence), _facts(evidence))


def _judged(evidence: Evidence) -> Record:
    if math.isnan(evidence.auroc):
        return _say("untested", why=evidence.why_untested)
    ends = (evidence.low, evidence.high)
    if few := untold(evidence.n_wrong, evidence.n_right):
        return _say("too_few", n=few.n, value=evidence.auroc, interval=ends, chance=CHANCE, parts=(few,))
    kinds = {"above": "trusted", "below": "wrong_way", "level": "no_better", "untold": "no_interval"}
    kind = kinds[against_chance(*ends, evidence.n_wrong, evidence.n_right)]
    if kind == "trusted" and evidence.high < OF_USE:
        kind = "hardly_better"
    return _say(kind, value=evidence.auroc, interval=ends, chance=CHANCE)


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


def evidence_of(facts: QualityFacts, metrics: pd.DataFrame) -> Evidence:
    """Collect the evidence.

    Args:
        facts: q_auroc, q_auroc_interval, near_zero_share, negative_share, mean_firing, share_nonempty.
        metrics: table `quality_metrics`: score, label_free, auroc, n, base_rate_error, note.
    """
    of_q = metrics.loc[metrics["score"] == Q].to_dict("records")
    low, high = facts.q_auroc_interval or (None, None)
    metrics = metrics.loc[on_most_images(metrics)]
    rated = metrics.dropna(subset="auroc").sort_values("auroc", ascending=False, kind="stable")
    free = rated.loc[rated["label_free"].to_numpy(bool), "score"].tolist()
    ahead, is_rated = _better(rated), bool(of_q) and Q in rated["score"].tolist()
    n_wrong, n_right = outcomes(of_q[0]) if of_q else (0, 0)
    note = str(of_q[0]["note"] or "") if of_q else ""
    ahead_label_free = [name for name in ahead if name in free] if is_rated else []
    others_label_free = [name for name in free if name != Q]

    return Evidence(
        auroc=_float(facts.q_auroc),
        low=_float(low),
        high=_float(high),
        n_wrong=n_wrong,
        n_right=n_right,
        why_untested=note,
        near_zero=_float(facts.near_zero_share),
        negative=_float(facts.negative_share),
        mean_firing=_float(facts.mean_firing),
        nonempty=_float(facts.share_nonempty),
        rank=len(ahead) + 1 if is_rated else None,
        n_scores=len(rated),
        ahead_label_free=tuple(ahead_label_free),
        n_label_free=len(others_label_free),
    )


def _better(rated: pd.DataFrame) -> list[str]:
    """Return the scores with a higher AUROC than Q in the three digits that are shown, best first."""
    auroc = dict(zip(rated["score"].tolist(), rated["auroc"].to_numpy(float).round(3), strict=True))
    return [name for name, value in auroc.items() if value > auroc.get(Q, np.inf)]


def _float(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def read_check(study: Study) -> TrustCheck | None:
    """Return the trust check of a study as it reads with its answer; None without the step `quality`.

    Sentences that older versions stored are not read: they gave sparsity as a cause.
    """
    facts = headline_of_all(study)
    is_measured = study.answer is not None or facts.says_auroc
    if facts.skipped or not is_measured or not study.has("quality_metrics"):
        return None
    return check_trust(evidence_of(facts, scores_of_answer(study)))


def headline_of_all(study: Study) -> QualityFacts:
    """Return the same as `headline`, with shares that only the step `features` of older studies says."""
    of_q, of_features = headline(study), study.facts(FeaturesFacts)
    names = ("near_zero_share", "negative_share", "dead_share", "mean_firing")
    lacking = {name: getattr(of_features, name) for name in names if getattr(of_q, name) is None}
    return replace(of_q, **lacking)


def headline(study: Study) -> QualityFacts:
    """Return what the step `quality` says of Q: as stored, or for another answer than the probe measured on
    its evaluation images, without what needs resampling.
    """
    if study.answer is None or not study.has("quality_metrics"):
        return study.facts(QualityFacts)
    metrics = scores_of_answer(study)
    of_q = metrics.loc[metrics["score"] == Q].to_dict("records")
    if not of_q:
        return QualityFacts(skipped=OF_ANSWER)
    row, table = of_q[0], study.kept("quality")
    between = float(row["auroc_low"]), float(row["auroc_high"])
    return replace(
        study.facts(QualityFacts),
        skipped="",
        q_auroc=_float_or_none(row["auroc"]),
        q_auroc_interval=None if np.isnan(between).any() else between,
        base_rate=_float_or_none(1 - row["base_rate_error"]),
        mean_firing=float(numbers(table, "n_firing")[study.is_val].mean()),
        share_nonempty=float((numbers(table, "n_firing_discriminative") > 0)[study.is_val].mean()),
    )


def scores_of_answer(study: Study) -> pd.DataFrame:
    """Every score with the columns of READ and the ends of its interval: stored, or of another answer."""
    if study.answer is None:
        return study.table("quality_metrics", [*READ, "auroc_low", "auroc_high"])
    aurocs = score_aurocs(study, study.is_val)
    renamed = aurocs.rename(columns={"low": "auroc_low", "high": "auroc_high", "reason": "note"})
    return renamed.assign(base_rate_error=safe_divide(aurocs["n_wrong"], aurocs["n"], empty=np.nan))


def _float_or_none(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)

"""The measurement that prereg_scores.md fixes: `python -m benchmarks.evidence.score_goal STUDY [STUDY ...]`.

Prints Markdown tables: whether `combined` reaches the goal, its differences to Q and to the best other score,
which of its six scores fail where, every score of every study, and AUROC by cause of failure where known.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.evidence.score_evidence import (
    CONFIDENCE,
    FEWEST,
    GOAL,
    RULE,
    SHARE,
    Measured,
    Verdict,
    measure,
    verdict,
)
from benchmarks.evidence.tables import causes, metric_text
from core.analysis.quality.label_free.consensus import COMBINED
from core.common.dataframes import words
from core.common.formatting import UNDEFINED, number, signed, with_interval
from core.common.score_names import SCORES
from core.measures.metrics import REFERENCE
from core.store import open_study

MATRICES = (  # metric, caption, name and value of its row without skill: base rates differ by study
    ("auroc", "AUROC (chance 0.5)", "", None),
    ("auroc_within", "AUROC within predicted classes (chance 0.5)", "", None),
    ("auprc_correct", "AUPRC, correct images (higher is better)", "base rate", lambda error: 1 - error),
    ("auprc_error", "AUPRC, errors (higher is better)", "base rate", lambda error: error),
    ("aurc", "AURC (lower is better)", "random order", lambda error: error),
    ("augrc", "AUGRC (lower is better)", "random order", lambda error: error / 2),
)


def report(encoders_measured: Sequence[Measured]) -> str:
    """Join every table that prereg_scores.md promises; intervals are at 95 %."""
    parts = [goals, encoders, differences, members, weights]
    blocks = ["\n".join(part(encoders_measured)) for part in parts]
    blocks += ["\n".join(matrix(encoders_measured, *one)) for one in MATRICES]
    blocks += ["\n".join(notes(encoders_measured)), *("\n".join(by_cause(one)) for one in encoders_measured)]
    return "\n\n".join(block for block in blocks if block)


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def table(*names: str) -> Iterator[str]:
    """Begin a table with its head."""
    yield row(*names)
    yield "|---" * len(names) + "|"


def share_text(one: Measured) -> str:
    """'46 % (38 to 55)'."""
    value, low, high = (100 * part for part in one.share())
    if np.isnan(value):
        return UNDEFINED
    return f"{value:.0f} %" if np.isnan(low) else f"{value:.0f} % ({low:.0f} to {high:.0f})"


def difference_text(one: Measured, column: str) -> str:
    """'+0.182 (+0.135 to +0.232)'."""
    value, low, high = (one.value(RULE, f"{column}{end}") for end in ("", "_low", "_high"))
    if np.isnan(value):
        return UNDEFINED
    text = signed(value, 3)
    return text if np.isnan(low) else f"{text} ({signed(low, 3)} to {signed(high, 3)})"


def metric_of(one: Measured, score: str, metric: str = "auroc") -> str:
    if score not in one.metrics.index:
        return UNDEFINED
    return metric_text(one.metrics.loc[score], metric)


def goals(measured: Sequence[Measured]) -> Iterator[str]:
    """Whether both parts of the goal hold, over all encoders and without those that chose the rule."""
    yield from table(
        "encoders",
        "number",
        f"mean AUROC of {RULE}",
        f"goal (a): at least {GOAL} over at least {FEWEST}",
        "smallest share of confidence's gain",
        f"goal (b): at least {100 * SHARE:.0f} % on each",
    )
    others = [one for one in measured if not one.tuned]
    for which, some in (("all", measured), ("without those that chose the rule", others)):
        if not some:
            yield row(which, 0, *"––––")
            continue
        result = verdict(some)
        least = f"{share_text(result.least)}, {result.least.name}"
        second = "reached" if result.reaches_share else "not reached"
        yield row(which, result.n, with_interval(*result.mean), first_goal(result), least, second)


def first_goal(result: Verdict) -> str:
    if result.n < FEWEST:
        return "too few encoders"
    return "reached" if result.reaches_mean else "not reached"


def encoders(measured: Sequence[Measured]) -> Iterator[str]:
    yield from table(
        "encoder",
        "images",
        "probe top-1",
        f"AUROC of {RULE}",
        "within predicted classes",
        "confidence (labels)",
        "share of confidence's gain",
        f"AUPRC of {RULE}, correct (base rate)",
        "errors (base rate)",
    )
    for one in measured:
        right = one.value(RULE, "base_rate_correct")
        yield row(
            f"{one.name} *" if one.tuned else one.name,
            f"{one.n:,}",
            f"{100 * right:.1f} %",
            metric_of(one, RULE),
            metric_of(one, RULE, "auroc_within"),
            metric_of(one, CONFIDENCE),
            share_text(one),
            f"{metric_of(one, RULE, 'auprc_correct')}; {right:.3f}",
            f"{metric_of(one, RULE, 'auprc_error')}; {1 - right:.3f}",
        )
    if any(one.tuned for one in measured):
        yield ""
        yield "\\* The rule was chosen with this encoder, which is no evidence for it."


def differences(measured: Sequence[Measured]) -> Iterator[str]:
    """What `combined` is ahead of Q and of the best other score without labels, on the same resamples."""
    yield from table(
        "encoder",
        "Q",
        f"{RULE} minus Q, paired",
        "best other score without labels, by hindsight",
        f"{RULE} minus that score, paired",
    )
    for one in measured:
        rival = str(one.metrics.loc[RULE, "rival"])
        yield row(
            one.name,
            metric_of(one, REFERENCE),
            difference_text(one, "auroc_difference"),
            f"{rival} {metric_of(one, rival)}" if rival else UNDEFINED,
            difference_text(one, "rival_difference"),
        )


def members(measured: Sequence[Measured]) -> Iterator[str]:
    """The six scores of `combined`; those whose interval is not above chance are marked."""
    yield f"AUROC of the six scores of {RULE}. At chance: the interval holds 0.5; below: it ends before that."
    yield ""
    yield from table("encoder", *COMBINED, "at or below chance")
    for one in measured:
        standing = {score: standing_of(one, score) for score in COMBINED}
        cells = [f"{metric_of(one, score)}{standing[score]}" for score in COMBINED]
        yield row(one.name, *cells, ", ".join(filter(standing.get, standing)) or "none")


def standing_of(one: Measured, score: str) -> str:
    """Mark a score whose interval does not lie above chance."""
    low, high = one.value(score, "auroc_low"), one.value(score, "auroc_high")
    if high < 0.5:
        return ", **below**"
    return ", *at chance*" if low <= 0.5 else ""


def weights(measured: Sequence[Measured]) -> Iterator[str]:
    yield f"Weights of the six scores in {RULE} (of length 1)."
    yield ""
    yield from table("encoder", *COMBINED)
    for one in measured:
        given = one.study.summary("quality").get("combined_weights", {}).get("val", {})
        yield row(
            one.name, *(signed(given[score], 2) if score in given else "left out" for score in COMBINED)
        )


def matrix(
    measured: Sequence[Measured], metric: str, caption: str, baseline: str, unskilled
) -> Iterator[str]:
    """One metric of every score on every study, the scores with the highest mean AUROC first."""
    yield f"{caption}."
    yield ""
    yield from table("score", "labels", *(one.name for one in measured))
    if unskilled:
        rates = [unskilled(one.value(RULE, "base_rate_error")) for one in measured]
        yield row(f"*{baseline}*", "–", *(number(rate) for rate in rates))
    for score in by_mean_auroc(measured):
        labels = "no" if SCORES[score].label_free else "yes"
        name = f"**{score}**" if score == RULE else score
        yield row(name, labels, *(metric_of(one, score, metric) for one in measured))


def by_mean_auroc(measured: Sequence[Measured]) -> list[str]:
    """List the scores with a number in any study, the highest mean AUROC over the studies first."""
    means = {}
    for score in SCORES:
        values = np.array([one.value(score) for one in measured if score in one.metrics.index])
        if np.isfinite(values).any():
            means[score] = float(np.nanmean(values))
    return sorted(means, key=lambda score: -means[score])


def notes(measured: Sequence[Measured]) -> Iterator[str]:
    """Why a number is missing, or is of fewer images."""
    for one in measured:
        for score, note in zip(one.metrics.index, words(one.metrics, "note"), strict=True):
            if note:
                yield f"* {one.name}, {score}: {note}."


def by_cause(one: Measured) -> Iterator[str]:
    if one.study.has("quality_by_cause") and len(one.study.table("quality_by_cause")):
        yield f"{one.name}: AUROC by cause of failure, against all correct images."
        yield ""
        yield from causes(one.study)


def names_of(paths: Sequence[Path]) -> list[str]:
    """Name each study by its folder, and by its whole path where two folders have the same name."""
    names = [path.resolve().name for path in paths]
    count = Counter(names)
    return [name if count[name] == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.score_goal", description=__doc__)
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
    paths = parser.parse_args(arguments).studies
    print(
        report([measure(open_study(path), name) for path, name in zip(paths, names_of(paths), strict=True)])
    )


if __name__ == "__main__":
    main()

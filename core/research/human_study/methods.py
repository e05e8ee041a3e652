"""Explanations that people choose between, and the tables of a human study as text. No torch."""

from collections.abc import Mapping
from typing import Any

from core.common.formatting import counted, number
from core.concepts.naming import majority
from core.research.human_study.study import RELATED_PERCENT
from core.research.human_study.word_measures import kept_words, random_words
from core.store import Study

FALCON, MAJORITY, RANDOM = "FALCON", "majority of whole images", "random words"
RIVALS = (FALCON, "FALCON without crops", "CLIP-Dissect-like", RANDOM)


def methods_of(study: Study, *, seed: int = 0) -> dict[str, dict[str, list[str]]]:
    """Return the words of each group by method: the study's own, by the rule that chose them, those of its
    evaluation if there is one, and else words drawn at random from its other features.

    Only methods that have words are included; two methods may offer the same words for a group.
    """
    ours = kept_words(study.table("concepts"))
    naming = MAJORITY if study.summary("concepts").get("naming") == majority.MAJORITY else FALCON
    methods = {naming: ours}
    if study.has("method_words"):
        table = study.table("method_words", ["method", "group", "rank", "word"]).sort_values("rank")
        words_of_method: dict[str, dict[str, list[str]]] = {name: {} for name in RIVALS}
        for method, group, word in zip(table["method"], table["group"], table["word"], strict=True):
            if method in words_of_method:
                words_of_method[method].setdefault(group, []).append(word)
        methods |= {name: groups for name, groups in words_of_method.items() if groups and name != naming}
    if RANDOM not in methods:
        vocabulary = sorted({word for words in ours.values() for word in words})
        methods[RANDOM] = random_words(sorted(ours), vocabulary, seed=seed)
    return methods


def answers_text(answers: Mapping[str, Any]) -> str:
    """Format Tables 4.1, 4.2/B.2 and the agreement of `human_study.read_answers` as text."""
    lines = [f"Table 4.1: words that at least {RELATED_PERCENT} % of the workers call related (percent)"]
    lines.append(f"{'K':>3}  {'precision':>9}  {'pooled recall':>13}")
    for row in answers["precision"].to_dict("records"):
        precision, recall = (number(row[name], 2, undefined="-") for name in ("precision", "recall_pooled"))
        lines.append(f"{row['k']:>3}  {precision:>9}  {recall:>13}")
    n_tasks = int(answers["precision"]["n"].max()) if len(answers["precision"]) else 0
    n_related = int(answers["precision"]["n_related"].max()) if n_tasks else 0
    lines += [
        f"over the words of {counted(n_tasks, 'task')}, {n_related:,} of them related",
        "Pooled recall is the share of the related words that are among the first K: 100 at K = 6.",
        "",
    ]
    lines += ["Tables 4.2 and B.2: how often each explanation was chosen"]
    rows = answers["choices"].to_dict("records")
    width = max((len(row["method"]) for row in rows), default=0)
    lines += [
        f"{row['method']:<{width}}  {number(row['share'], 2, undefined='-'):>7} %  "
        f"({row['n_chosen']} of {row['n_shown']})"
        for row in rows
    ] or ["no such task"]
    lines += ["", "Agreement of workers"]
    for kind, about in answers["agreement"].items():
        if not about["n_items"]:
            lines.append(f"{kind}: no item was answered by two workers")
            continue
        lines.append(
            f"{kind}: {100 * about['pairwise']:.1f} % of pairs agree, "
            f"Fleiss' kappa {number(about['kappa'])} over {about['n_items']:,} items"
        )
    return "\n".join(lines)


def answers_report(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same as a JSON-able dict."""
    tables = {name: answers[name].to_dict("records") for name in ("words", "precision", "choices")}
    return tables | {"agreement": answers["agreement"]}

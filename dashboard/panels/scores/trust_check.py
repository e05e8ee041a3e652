"""The trust check (docs/method.md 2.5): can the Q-Score be trusted for this study, and on what evidence."""

from typing import Any, Literal

import numpy as np
import streamlit as st

from core.analysis.quality.trust_check import headline
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets

Colour = Literal["blue", "orange", "gray"]
VERDICTS: dict[str, tuple[str, str, Colour]] = {
    "trusted": ("Q can be trusted", ":material/check:", "blue"),
    "unreliable": ("Q cannot be trusted", ":material/close:", "orange"),
    "untested": ("Q is not tested here", ":material/help:", "gray"),
}


def trust_checks(study: Study) -> None:
    """The verdict first, then the facts beside it, then those of the whole representation."""
    summary = study.summary("features") | headline(study)
    with st.container(border=True):
        if trust := reads.trust_check(study):
            label, icon, colour = VERDICTS[trust.verdict]
            st.badge(label, icon=icon, color=colour)
            st.markdown(f"**Can the Q-Score be trusted here?** {widgets.plain(trust.sentence)}")
        _cards(_decisive(summary), key="premise_evidence")
        st.caption("Other facts about this encoder (they do not decide the verdict):")
        _cards(_facts(summary), key="premise_facts")
        for note in reads.feature_notes(study):
            st.caption(widgets.plain(note))
        with st.expander("The whole representation in numbers", icon=":material/analytics:"):
            _cards(_whole(study, summary), key="premise_whole")


def _cards(cards: list[tuple[str, str, str, str]], *, key: str) -> None:
    with st.container(horizontal=True, gap="small", key=key):
        for label, value, explain, detail in cards:
            if value != "not defined":
                widgets.metric(label, value, explain=explain, detail=detail)


def _decisive(summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Label, value, explanation and second line of the AUROC, whose interval alone decides."""
    low, high = summary.get("q_auroc_interval") or (np.nan, np.nan)
    around = widgets.interval(summary.get("q_auroc") or np.nan, low, high).partition("(")[2].rstrip(")")
    auroc = widgets.number(summary.get("q_auroc"))
    return [("Q-Score AUROC", auroc, "q_auroc", f"{around}; guessing: 0.500")]


def _facts(summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Label, value, explanation and second line of each fact beside the verdict."""
    rank = summary.get("q_rank")
    rank = "not defined" if rank is None else f"{rank} of {summary.get('n_scores', 0)}"
    return [
        ("Rank of Q by AUROC", rank, "q_rank", "among all scores"),
        ("Near zero", widgets.percent(summary.get("near_zero_share")), "near_zero", "of all entries"),
        ("Negative", widgets.percent(summary.get("negative_share")), "negative", "of all entries"),
        ("Firing features", widgets.number(summary.get("mean_firing"), digits=1), "mean_firing", "an image"),
        (
            "Images with Q above 0",
            widgets.percent(summary.get("share_nonempty")),
            "n_firing_discriminative",
            "a discriminative feature fires",
        ),
    ]


def _whole(study: Study, summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    n_features = len(reads.table(study, "features", ("feature",))) if study.has("features") else 0
    of_all = f"of at most {n_features:,}" if n_features else ""
    return [
        ("RankMe", widgets.number(summary.get("rankme"), digits=1), "rankme", of_all),
        ("alpha-ReQ", widgets.number(summary.get("alpha_req"), digits=2), "alpha_req", "best near 1"),
        ("Dead features", widgets.percent(summary.get("dead_share")), "dead", "0 on every train image"),
        (
            "Mean confidence",
            widgets.percent(summary.get("mean_confidence")),
            "confidence",
            "evaluation images",
        ),
    ]

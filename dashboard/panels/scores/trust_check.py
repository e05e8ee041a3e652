"""The trust check (docs/method.md 2.5): what the Q-Score is worth for this study, and on what evidence."""

import numpy as np
import streamlit as st

from core.analysis.quality.trust_check import headline_of_all
from core.common.step_facts import QualityFacts
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.verdict import verdict


def trust_checks(study: Study) -> None:
    """The verdict first, then the facts beside it, then those of the whole representation."""
    facts = headline_of_all(study)
    with st.container(border=True):
        if trust := reads.trust_check(study):
            verdict(trust.verdict)
        _cards(_decisive(facts), key="premise_evidence")
        st.caption("Other facts about this encoder (they do not decide the verdict):")
        _cards(_facts(facts), key="premise_facts")
        for note in reads.feature_notes(study):
            st.caption(widgets.plain(note))
        with st.expander("The whole representation in numbers", icon=":material/analytics:"):
            _cards(_whole(study, facts), key="premise_whole")


def _cards(cards: list[tuple[str, str, str, str]], *, key: str) -> None:
    with st.container(horizontal=True, gap="small", key=key):
        for label, value, explain, detail in cards:
            if value != "not defined":
                widgets.metric(label, value, explain=explain, detail=detail)


def _decisive(facts: QualityFacts) -> list[tuple[str, str, str, str]]:
    """Label, value, explanation and second line of the AUROC, whose interval alone decides."""
    low, high = facts.q_auroc_interval or (np.nan, np.nan)
    around = widgets.interval(facts.q_auroc or np.nan, low, high).partition("(")[2].rstrip(")")
    auroc = widgets.number(facts.q_auroc)
    return [("Q-Score AUROC", auroc, "q_auroc", f"{around}; guessing: 0.500")]


def _facts(facts: QualityFacts) -> list[tuple[str, str, str, str]]:
    """Label, value, explanation and second line of each fact beside the verdict."""
    rank = "not defined" if facts.q_rank is None else f"{facts.q_rank} of {facts.n_scores}"
    return [
        ("Rank of Q by AUROC", rank, "q_rank", "among all scores"),
        ("Near zero", widgets.percent(facts.near_zero_share), "near_zero", "of all entries"),
        ("Negative", widgets.percent(facts.negative_share), "negative", "of all entries"),
        ("Firing features", widgets.number(facts.mean_firing, digits=1), "mean_firing", "an image"),
        (
            "Images with Q above 0",
            widgets.percent(facts.share_nonempty),
            "n_firing_discriminative",
            "a discriminative feature fires",
        ),
    ]


def _whole(study: Study, facts: QualityFacts) -> list[tuple[str, str, str, str]]:
    n_features = len(reads.table(study, "features", ("feature",))) if study.has("features") else 0
    of_all = f"of at most {n_features:,}" if n_features else ""
    return [
        ("RankMe", widgets.number(facts.rankme, digits=1), "rankme", of_all),
        ("alpha-ReQ", widgets.number(facts.alpha_req, digits=2), "alpha_req", "best near 1"),
        ("Dead features", widgets.percent(facts.dead_share), "dead", "0 on every train image"),
        ("Mean confidence", widgets.percent(facts.mean_confidence), "confidence", "evaluation images"),
    ]

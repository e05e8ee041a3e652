"""What stands above a list of features: a sentence, and the row of search, order, verdict and silent ones."""

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import numbers
from core.common.formatting import counted
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import slice_reads
from dashboard.cache.features import feature_reads
from dashboard.cache.features.feature_reads import SORTS, Listing
from dashboard.components import widgets
from dashboard.components.choose_one import select_one
from dashboard.panels.features.feature_cards import VERDICTS, others_name, population_name
from dashboard.state import session

FIND, SORT, VERDICT, DEAD = "features_find", "features_sort", "features_verdict", "features_dead"
ANY = "Any verdict"
SIGNIFICANT = 0.05  # q below which a difference is no chance
PARTS = {"find": FIND, "sort": SORT, "verdict": VERDICT, "dead": DEAD}  # parts of a Listing, by widget


def headline(study: Study, population: Slice, features: pd.DataFrame) -> str:
    """Say how many features fire on the images of a filter, and how many of them are typical of these.

    Args:
        features: see `feature_reads.listed`.
    """
    n = slice_reads.count(study, population)
    if not n:
        return "No image fits the filter."
    rate = numbers(features, "rate")
    name = population_name(population)
    if not name:
        telling = int(np.count_nonzero(features["discriminative"].to_numpy(bool) & (rate > 0)))
        these = "this image" if n == 1 else f"these {n:,} images"
        fires = int(np.count_nonzero(rate > 0))
        line = f"{fires:,} of {len(features):,} features {'fires' if fires == 1 else 'fire'} on {these}"
        return line + (
            f"; {telling:,} of them {'is' if telling == 1 else 'are'} discriminative."
            if feature_reads.classes_tell(study)
            else "."
        )
    often = rate >= feature_reads.OFTEN
    share = f"{100 * feature_reads.OFTEN:.0f} %"
    fires = int(np.count_nonzero(often))
    line = f"{counted(fires, 'feature')} {'fires' if fires == 1 else 'fire'} on at least {share} of {name}"
    more = feature_reads.more_often_here(study, population)
    if more is not None and len(study.class_names) > 1:
        return (
            f"{line}, {np.count_nonzero(often & more):,} of them more often than on any single other class."
        )
    sure = (numbers(features, "q") < SIGNIFICANT) & (numbers(features, "difference") > 0)
    rest = others_name(population)
    return f"{line}, {np.count_nonzero(often & sure):,} of them significantly more often than on {rest}."


def listing(study: Study, n_dead: int, *, ordered: bool = True) -> Listing:
    """Draw the row and return what is asked for.

    Args:
        n_dead: features that fire on none of the images. ordered: False where only the search has a meaning.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="features_controls"):
        find = st.text_input(
            "Word or number",
            key=FIND,
            bind="query-params",
            max_chars=60,
            icon=":material/search:",
            placeholder="Word or number" if study.has("concepts") else "Class or number",
            label_visibility="collapsed",
            width=240,
        )
        if not ordered:
            return Listing(find=find or "")
        sort = _sort(study)
        verdict = _verdict() if study.has("overlap_by_feature") else ""
        dead = bool(n_dead) and st.toggle(
            f"Show {n_dead:,} that do not fire here",
            key=DEAD,
            bind="query-params",
            help="Features that fire on none of these images.",
        )
    return Listing(find or "", sort, verdict, dead)


def _sort(study: Study) -> str:
    needs_words, needs_labels = SORTS[3], SORTS[2]
    without = [needs_words] * (not study.has("concepts")) + [needs_labels] * (not study.labelled)
    options = [name for name in SORTS if name not in without]
    return select_one("Order", options, key=SORT, width=210, help=widgets.help_text("feature_order"))


def _verdict() -> str:
    options = [ANY, *[word.capitalize() for word, _ in VERDICTS.values()]]
    about = widgets.help_text("feature_verdict")
    title = select_one("Where they look", options, key=VERDICT, width=190, help=about)
    return next((name for name, (word, _) in VERDICTS.items() if word.capitalize() == title), "")


def as_query(asked: Listing) -> dict[str, str]:
    """The parts of an address that hold a listing, short: for the page of a feature."""
    plain = Listing()
    parts = {"find": asked.find, "sort": asked.sort, "verdict": asked.verdict, "dead": "1" * asked.dead}
    return {name: text for name, text in parts.items() if text and text != getattr(plain, name)}


def from_query() -> Listing:
    """The listing that the address of a feature's page names; what is no such thing is left out."""
    sort, verdict = session.url_text("sort") or SORTS[0], session.url_text("verdict") or ""
    find, dead = (session.url_text("find") or "")[:60], session.url_text("dead") == "1"
    known_sort = sort if sort in SORTS else SORTS[0]
    known_verdict = verdict if verdict in feature_reads.VERDICTS else ""
    return Listing(find=find, sort=known_sort, verdict=known_verdict, dead=dead)


def widgets_query(asked: Listing) -> dict[str, str]:
    """The parts of the address of the list that show a listing."""
    short = as_query(asked)
    texts = {"verdict": VERDICTS.get(asked.verdict, ("",))[0].capitalize(), "dead": "true"}
    return {PARTS[name]: texts.get(name, text) for name, text in short.items()}

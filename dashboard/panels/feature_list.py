"""The list of features: what stands above it, and the list as a chart."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import slices as figures
from core.charts.activation_rates import PURITY as PURITY_CHART
from core.charts.activation_rates import SORTED_ACTIVATION
from core.charts.feature_points import Rates
from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.common.captions import split_images
from core.common.dataframes import numbers
from core.common.formatting import counted
from core.common.records import Record, Templates
from core.common.verdict_words import ALIKE
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import basis_reads, feature_reads, reads, slice_reads
from dashboard.cache.chart_reads import chart_table
from dashboard.cache.feature_reads import SORTS, STABLE, Listing
from dashboard.components import widgets
from dashboard.components.chart import bold, chart
from dashboard.components.choose_one import choose_one, select_one
from dashboard.panels.feature_cards import VERDICTS, others_name, population_name
from dashboard.state import served_studies, session

# What stands above a list of features: a sentence, and the row of search, order, verdict and silent ones.


_say = Templates.beside(__file__)
FIND, SORT, VERDICT, DEAD = "features_find", "features_sort", "features_verdict", "features_dead"
ANY = "Any verdict"
FEWEST_IMAGES = 8  # train images that most discriminative features fire on; below, the word says nothing
SIGNIFICANT = 0.05  # q below which a difference is no chance
PARTS = {"find": FIND, "sort": SORT, "verdict": VERDICT, "dead": DEAD}  # parts of a Listing, by widget


def headline(study: Study, population: Slice, features: pd.DataFrame) -> str:
    """Say how many features fire on the images of a filter, and how many of them are typical of these.

    Args:
        features: see `feature_reads.listed`.
    """
    n = slice_reads.count(study, population)
    if not n:
        return _say("no_image")
    rate = numbers(features, "rate")
    name = population_name(population)
    if not name:
        telling = int(np.count_nonzero(features["discriminative"].to_numpy(bool) & (rate > 0)))
        fires = int(np.count_nonzero(rate > 0))
        these = _say("this_image" if n == 1 else "these_images", n=n)
        line = _say("one_fires" if fires == 1 else "fire", n=fires, of=len(features), parts=(these,))
        often = feature_reads.n_train_images(study)[features["discriminative"].to_numpy(bool)]
        if not feature_reads.classes_tell(study) or np.median(often) < FEWEST_IMAGES:
            return f"{line}."
        return _say("one_discriminative" if telling == 1 else "discriminative", n=telling, parts=(line,))
    often = rate >= feature_reads.OFTEN
    line = _say("often", n=int(np.count_nonzero(often)), value=feature_reads.OFTEN, what=name)
    more = feature_reads.more_often_here(study, population)
    if more is not None and len(study.class_names) > 1:
        return _say("more_than_any_class", n=int(np.count_nonzero(often & more)), parts=(line,))
    sure = (numbers(features, "q") < SIGNIFICANT) & (numbers(features, "difference") > 0)
    n_sure = int(np.count_nonzero(often & sure))
    return _say("more_than_others", n=n_sure, what=others_name(population), parts=(line,))


def stability_rule(study: Study) -> Record | Literal[""]:
    """State which latents to trust, and how many these are; "" of units, and of a basis learned once."""
    whole, basis = served_studies.in_units(study), study.basis
    n_alive, n_again = (0, None) if basis is None else basis_reads.found_again(whole, basis.name)
    return "" if n_again is None else _say("stability", n=n_again, of=n_alive, chance=ALIKE)


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
    without += [STABLE] * (reads.stabilities(study) is None)
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


# The list of features as a chart.


RATE, PURITY = "Activation rate", "Purity"
SURE = 0.05  # q below which a difference is no chance
COLUMNS = [
    "feature",
    "name",
    "rate",
    "rate_against",
    "difference",
    "low",
    "high",
    "q",
    "tail",
    "top_class",
    "purity",
]


def feature_scatter(
    study: Study, features: pd.DataFrame, population: Slice, query: Mapping[str, str]
) -> None:
    """Draw rows of `feature_reads.in_order`; a click opens a feature's page, with `query` in its address."""

    def clicked(points: list[dict]) -> None:
        session.go("feature", **query, feature=str(int(points[-1]["customdata"][0])))

    name = population_name(population)
    charts = [RATE, PURITY] if study.labelled else [RATE]
    plot = choose_one("Chart", charts, key="features_plot", default=RATE)
    data = features.loc[:, COLUMNS]
    if name and plot == RATE:
        return _against(study, features, population, data, clicked)
    shown, among = None, None  # as the study stores them
    if plot == PURITY or population.split != "train" or query:
        rated = features.assign(activation_rate=100 * numbers(features, "rate"))
        shown = Rates(rated, "images of the slice" if name else split_images(population.split))
        among = population
    if plot == RATE and shown is not None:
        bold(_rates_said(numbers(features, "rate"), shown.images))
    what = PURITY_CHART if plot == PURITY else SORTED_ACTIVATION
    options = FigureOptions()
    if shown is None:
        shown = chart_table(study, among, what.name, options)
    if finding := what.finding(shown):
        bold(widgets.plain(finding))
    drawn_from = (what.name, options, among, tuple(features["feature"]))
    alt = what.described(shown)
    frame = {"column": what.column, "source": what.source}
    chart(
        study,
        "features_chart",
        lambda theme: what.draw(shown, options, theme),
        *drawn_from,
        alt=alt,
        data=data,
        on_select=clicked,
        **frame,
    )


def _rates_said(rates: np.ndarray, images: str) -> str:
    """Say how many features fire, and how often.

    >>> _rates_said(np.array([0, 0.02, 0.04, 0.9]), "evaluation images")
    '3 features fire; half of them on at most 4.0 % of the evaluation images'
    >>> _rates_said(np.array([0, 0.5]), "evaluation images"), _rates_said(np.zeros(2), "train images")
    ('1 feature fires, on 50.0 % of the evaluation images', 'No feature fires on the train images')
    """
    fires = rates[rates > 0]
    if not len(fires):
        return _say("none_fires_on", what=images)
    median = float(np.quantile(fires, 0.5, method="inverted_cdf"))
    return _say("one_fires_on" if len(fires) == 1 else "fire_on", n=len(fires), value=median, what=images)


def _against(study: Study, features: pd.DataFrame, population: Slice, data: pd.DataFrame, clicked) -> None:
    here, elsewhere = population_name(population), others_name(population)
    sure, difference = numbers(features, "q") < SURE, numbers(features, "difference")
    more, fewer = (int(np.count_nonzero(sure & (sign * difference > 0))) for sign in (1, -1))
    fire = f"{counted(more, 'feature')} {'fires' if more == 1 else 'fire'}"
    what = (
        f"{fire} significantly more often on {here} than on {elsewhere} taken together, {fewer:,} less often"
    )
    bold(widgets.plain(what))

    def draw(theme: Theme):
        return figures.rates_against(features, here=here, elsewhere=elsewhere, q_below=SURE, theme=theme)

    chart(
        study,
        "features_chart",
        draw,
        *(population, tuple(features["feature"])),
        alt=f"Share of {here} on which each feature fires, against the share of {elsewhere}",
        data=data,
        on_select=clicked,
    )

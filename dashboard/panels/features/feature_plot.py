"""The list of features as a chart."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.charts import slice_features as figures
from core.charts.feature_points import Rates
from core.charts.options import FigureOptions
from core.charts.purity import PURITY as PURITY_CHART
from core.charts.sorted_activation import SORTED_ACTIVATION
from core.charts.theme import Theme
from core.common.captions import split_images
from core.common.dataframes import numbers
from core.common.formatting import counted
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.chart_reads import chart_table
from dashboard.components import widgets
from dashboard.components.chart import bold, chart
from dashboard.components.choose_one import choose_one
from dashboard.panels.features.feature_cards import others_name, population_name
from dashboard.state import session

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
        return f"No feature fires on the {images}"
    share = widgets.percent(float(np.quantile(fires, 0.5, method="inverted_cdf")))
    if len(fires) == 1:
        return f"1 feature fires, on {share} of the {images}"
    return f"{len(fires):,} features fire; half of them on at most {share} of the {images}"


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

"""The list of features as a table."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.common.dataframes import columns, numbers
from core.slices.slice import Slice
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.pick_row import pick_row
from dashboard.panels.features.feature_cards import VERDICTS
from dashboard.panels.features.population_name import others_name, population_name
from dashboard.state import session

SHARES = ("rate", "rate_against", "difference", "likeliest_rate", "purity", "domain_purity")
COLUMNS = ["feature", "name", *SHARES[:3], "q", "likeliest", "likeliest_rate", "purity", "verdict", "tail"]
COLUMNS += ["part", "top_domain", "domain_purity"]
BANDS = {"lower": "lower tail", "middle": "discriminative", "upper": "upper tail"}


def feature_table(features: pd.DataFrame, population: Slice, query: Mapping[str, str]) -> None:
    """Draw rows of `feature_reads.in_order`; a click opens a feature's page, with `query` in its address."""
    table = features.assign(
        **{name: 100 * numbers(features, name) for name in SHARES if name in features},
        name=features["name"] if any(features["name"]) else None,
        verdict=[VERDICTS.get(verdict, (None,))[0] for verdict in features["verdict"]],
        tail=[BANDS.get(tail, tail) for tail in features["tail"]],
    )
    pick_row(
        columns(table, COLUMNS),
        _columns(population),
        lambda row: session.go("feature", **query, feature=str(features["feature"].iat[row])),
        key="features_table",
        alt="Features; select a row to open the page of that feature",
        height=640,
    )
    download(
        session.current_study(),
        features.drop(columns=["word_score", "firing_class"]),
        population,
        name="features",
    )


def _columns(population: Slice) -> dict:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    name = population_name(population) or "all images"
    return {
        "feature": number("Feature", format="%d", width=70),
        "name": text("Words", width=170),
        "rate": number(f"Fires on, % of {name}", format="%.1f", help=widgets.help_text("slice_rate")),
        "rate_against": number(f"% of {others_name(population)}", format="%.1f"),
        "difference": number("Difference", format="%+.1f", help=widgets.help_text("rate_difference")),
        "q": number("q", format="%.2g", help=widgets.help_text("q_value")),
        "likeliest": text("Most often on", help=widgets.help_text("likeliest_class")),
        "likeliest_rate": number("% of that class", format="%.1f"),
        "purity": number("Purity (%)", format="%.1f", help=widgets.help_text("slice_purity")),
        "verdict": text("Looks", help=widgets.help_text("feature_verdict")),
        "tail": text("Band", help=widgets.help_text("tail")),
        "part": text("Part", help=widgets.help_text("feature_part")),
        "top_domain": text("Domain"),
        "domain_purity": number("Domain purity (%)", format="%.1f", help=widgets.help_text("domain_purity")),
    }

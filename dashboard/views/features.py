"""Features: which fire on the images of the filter, what they look at, and what is special there."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from core.common.captions import split_images, with_class_names
from core.common.dataframes import columns, has_values, numbers
from core.common.records import Templates
from core.common.step_facts import EmbedFacts, FeaturesFacts
from core.measures.slice import Slice
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import concept_reads, feature_reads, image_filter, reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.choose_one import choose_one
from dashboard.components.page_link import link
from dashboard.components.widgets import pick_row
from dashboard.panels import (
    bases,
    feature_cards,
    feature_list,
    findings,
    groups,
    one_feature,
    without_features,
    word_evidence,
)
from dashboard.panels.bases import BASES
from dashboard.panels.feature_cards import VERDICTS, others_name, population_name
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import served_studies, session
from dashboard.state.pages import of_confusion

FIRING = "Below is what fires, which need not push."
FORM = "features_as"  # widget key and part of the URL
LAST_FORM = "_features_form"
WORDS, GROUPS = "Words", "Groups"
FORMS = ("Cards", "Table", "Plot", WORDS, GROUPS, BASES)
PAGE_SIZE = 24
SHARES = ("rate", "rate_against", "difference", "likeliest_rate", "purity", "domain_purity")
# What decides first: the last ones are not drawn where the page is too narrow.
COLUMNS = ["feature", "name", "stability", *SHARES[:3], "q", "verdict", "likeliest", *SHARES[3:5], "tail"]


def features_page(study: Study, population: Slice) -> None:
    asked = session.url_text(FORM) or FORMS[0]
    if asked in FORMS and asked != session.recall(LAST_FORM):
        session.set_widget(FORM, asked)  # of a link on this page the browser's buttons do not hear
        session.set_widget(LAST_FORM, asked)
    if asked == BASES:  # also where nothing is computed in the basis yet
        _bases(study)
        return
    if not one_feature.ready(study):
        return
    features = feature_reads.listed(study, population)
    form = _header(study, population, features)
    if form in (WORDS, GROUPS) and not word_evidence.captioned(study):
        findings.words_example(study)
        return
    if form == GROUPS:
        groups.feature_groups(study)
        return
    filter_bar(study, population)
    n_dead = int(np.count_nonzero(numbers(features, "rate") == 0))
    asked = feature_list.listing(study, n_dead, ordered=form != WORDS)
    if form == WORDS:
        word_evidence.word_table(study, population, asked.find)
        return
    _pushed(study, population)
    _list(study, population, asked, form)
    _notes(study)


def _header(study: Study, population: Slice, features: pd.DataFrame) -> str:
    """Title and finding, and on their right the form of the list."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="features_header"):
        title_slot = st.container()
        form = choose_one("Show as", FORMS, key=FORM)
    with title_slot:
        name = population_name(population)
        if form == GROUPS:  # the step that finds groups knows no filter, so none stands here
            widgets.page_header(
                "Features", "Which features are strongly active on the same images, and the words for them."
            )
        else:
            title = f"Features of :blue[{widgets.plain(name)}]" if name else "Features"
            widgets.page_header(title, widgets.plain(feature_list.headline(study, population, features)))
    return form


def _bases(study: Study) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="features_header"):
        with st.container():
            widgets.page_header("Bases of features", bases.WHAT)
        choose_one("Show as", FORMS, key=FORM)
    bases.panel(study)


@widgets.stable_container
def _pushed(study: Study, population: Slice) -> None:
    """What pushes the images of a confusion, beside what fires on them, which the page lists."""
    if population.confusion is None:
        return
    true, predicted = population.confusion
    if named := concept_reads.pushed_by(study, population, true, predicted):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            about = f"{named}. {FIRING}"
            st.caption(widgets.plain(about), width="content")
            parts = of_confusion(true, predicted)
            link("errors", "Open this confusion", study, icon="error_outline", **parts)


@widgets.stable_container
def _list(study: Study, population: Slice, asked: feature_reads.Listing, form: str) -> None:
    if form == "Plot" and population_name(population):  # what never fires here may fire elsewhere
        listed = feature_reads.in_order(study, population, replace(asked, dead=True))
    else:
        listed = feature_reads.in_order(study, population, asked)
    with st.container():  # what follows keeps its place, as in `stable_container`
        if listed.empty:
            _nothing(study, population, asked)
        elif form == "Table":
            if rule := feature_list.stability_rule(study):
                st.caption(rule, help=widgets.help_text("stability"))
            feature_table(listed, population, feature_list.as_query(asked))
        elif form == "Plot":
            feature_list.feature_scatter(study, listed, population, feature_list.as_query(asked))
        else:
            _cards(study, population, asked, listed)
    if form in ("Cards", "Table"):
        without_features.without_panel(study, population, listed["feature"].to_numpy())


def _cards(study: Study, population: Slice, asked: feature_reads.Listing, listed: pd.DataFrame) -> None:
    full = feature_cards.full_bar(feature_reads.listed(study, population))  # the same for every search
    above, slot = st.container(), st.container()
    some = listed.iloc[widgets.page_span(len(listed), PAGE_SIZE, key="features_page")]
    with above:
        _how_to_read(study, population, some, full)
    with slot:
        feature_cards.draw(
            study,
            some,
            population,
            key="features_cards",
            label=f"{len(listed):,} features",
            query=feature_list.as_query(asked),
            full=full,
        )


def _how_to_read(study: Study, population: Slice, some: pd.DataFrame, full: float) -> None:
    """What the bars and the words behind the numbers mean; full: the share at which a bar is full."""
    what = f"Bars: the share of the images on which a feature fires; a full bar is {widgets.percent(full)}."
    several = not population_name(population) and len(study.class_names) > 1
    if several and any(firing and not firing.few for firing in some["firing_class"]):
        what += " Grey bars: of the images on which it fires, the share of their most common class."
    named = reads.named_from(study)
    st.caption(what, help=" ".join(feature_cards.NOTES.values()) if named else None)
    if rule := feature_list.stability_rule(study):
        st.caption(rule, help=widgets.help_text("stability"))
    if not study.has("concepts"):
        whole = served_studies.in_units(study)
        is_worded = study.below is None or whole.has("concepts")  # else the latents get none either
        st.caption(
            feature_cards.WORDS_COME
            if is_worded and widgets.is_coming(study, "concepts")
            else feature_cards.NO_WORDS
        )


def _nothing(study: Study, population: Slice, asked: feature_reads.Listing) -> None:
    if asked.find.strip() and not asked.numbers and study.has("concepts"):
        why = nothing("no_feature_of_word")
    elif asked.find.strip() and not asked.numbers:
        why = nothing("no_feature_of_class")
    elif asked.numbers:
        why = nothing("no_feature_of_number")
    elif asked.verdict:
        why = nothing("no_feature_of_verdict")
    else:
        why = nothing("no_feature_fires")
    widgets.empty_state("No features", why)


@widgets.stable_container
def _notes(study: Study) -> None:
    """What a reader should know of the features of this encoder, and what it means to fire."""
    epsilon = study.facts(FeaturesFacts).epsilon
    notes = [*reads.feature_notes(study), *_dense(study)]
    if epsilon is not None:
        notes.append(
            f"A feature fires on an image when it lies {epsilon:g} standard deviations above the "
            "image's mean."
        )
    for note in notes:
        st.caption(widgets.plain(note))


def _dense(study: Study) -> list[str]:
    if study.facts(EmbedFacts).encoder.nonnegative is not False:
        return []
    return [
        "This encoder's representations are dense and have negative values. The paper's notion of firing "
        "features is made for sparse, non-negative ones, so it does not cover this case."
    ]


COLUMNS += ["part", "top_domain", "domain_purity"]


_say = Templates.beside(__file__)
BANDS = {"lower": "lower tail", "middle": "discriminative", "upper": "upper tail"}


def feature_table(features: pd.DataFrame, population: Slice, query: Mapping[str, str]) -> None:
    """Draw rows of `feature_reads.in_order`; a click opens a feature's page, with `query` in its address."""
    percent = {name: 100 * numbers(features, name) for name in SHARES if name in features}
    verdicts = [VERDICTS.get(verdict, (None,))[0] for verdict in features["verdict"]]
    bands = [BANDS.get(tail, tail) for tail in features["tail"]]
    table = features.assign(**percent, verdict=verdicts, tail=bands)
    if not any(features["name"]):
        table["name"] = None
    if not feature_reads.classes_tell(session.current_study()):
        table = table.drop(columns=["likeliest", "likeliest_rate", "purity"])
    else:
        table = table.assign(likeliest=table["likeliest"].map(with_class_names, na_action="ignore"))
    pick_row(
        columns(table, COLUMNS),
        _columns(population),
        lambda row: session.go("feature", **query, feature=str(features["feature"].iat[row])),
        key="features_table",
        alt="Features; select a row to open the page of that feature",
        height=640,
    )
    lacking = [] if has_values(features, "stability") else ["stability"]  # of units
    download(
        session.current_study(),
        features.drop(columns=["word_score", "firing_class", *lacking]),
        population,
        name="features",
    )


def _columns(population: Slice) -> dict:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    name, others = population_name(population) or split_images(population.split), others_name(population)
    of_these = widgets.plain(_say("share_of", what=name))
    of_others = widgets.plain(_say("share_of", what=others))
    return {
        "feature": number("Feature", format="%d", width=66),
        "name": text("Name", width=180),
        "stability": number("Stability", format="%.2f", width=72, help=widgets.help_text("stability")),
        "rate": number(
            "Fires on (%)", format="%.1f", width=92, help=f"{of_these} {widgets.help_text('slice_rate')}"
        ),
        "rate_against": number("Others (%)", format="%.1f", width=84, help=of_others),
        "difference": number(
            "Difference", format="%+.1f", width=80, help=widgets.help_text("rate_difference")
        ),
        "q": number("q", format="%.2g", width=74, help=widgets.help_text("q_value")),
        "verdict": text("Looks", width=146, help=widgets.help_text("feature_verdict")),
        "likeliest": text("Most often on", width=104, help=widgets.help_text("likeliest_class")),
        "likeliest_rate": number("% of that class", format="%.1f", width=102),
        "purity": number("Purity (%)", format="%.1f", width=80, help=widgets.help_text("slice_purity")),
        "tail": text("Band", width=104, help=widgets.help_text("tail")),
        "part": text("Part", width=70, help=widgets.help_text("feature_part")),
        "top_domain": text("Domain", width=90),
        "domain_purity": number(
            "Domain purity (%)", format="%.1f", width=124, help=widgets.help_text("domain_purity")
        ),
    }


features_page(session.current_study(), image_filter.population())

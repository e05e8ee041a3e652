"""The words of the features: which there are, which are typical of a filter, which features mean one."""

import numpy as np
import pandas as pd
import streamlit as st

from core.common.captions import with_class_names
from core.common.dataframes import columns, numbers
from core.common.formatting import counted, formatted
from core.common.group_names import is_joint
from core.common.step_facts import ConceptsFacts
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import inspection_reads, reads
from dashboard.cache.features import concept_reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.pick_row import pick_row
from dashboard.panels.concepts import evidence
from dashboard.panels.features import controls
from dashboard.panels.features.feature_cards import others_name, population_name
from dashboard.state import session

TILES = 12
OF_HIGHLY_ACTIVATING = (
    "Of the images that activate the feature highly, which its words are of. Cards count the images on which "
    "it fires, by another threshold."
)
NONE = "No feature has a word that begins so. Words are in lower case and in the singular."


def word_table(study: Study, population: Slice, find: str) -> None:
    """Draw the words on the left, and the features that mean those asked for on the right.

    population: the filter, whose images are counted. find: what the words have to begin with; empty for all.
    """
    if not evidence.ready(study, "No feature was put into words"):
        return
    left, right = st.columns([5, 6] if population_name(population) else [4, 7], gap="medium")
    with left:
        _words(study, population, find)
    with right:
        _features(study, population, find)
    _described(study, population, find)
    _facts(study)


@widgets.stable_container
def _words(study: Study, population: Slice, find: str) -> None:
    name = population_name(population)
    st.header(f"Words of {widgets.plain(name)}" if name else "Words")
    table = _word_table(study, population)
    if find.strip():
        phrase = " ".join(find.lower().split())
        has_phrase = np.array([f" {phrase}" in f" {word}".lower() for word in table["word"]], bool)
        table = table.loc[has_phrase].reset_index(drop=True)
    elif name:
        table = table.loc[table["rate"].notna().to_numpy()].reset_index(drop=True)
    if table.empty:
        rarer = f"No word is more common on {name} than on {others_name(population)}."
        st.info(NONE if find.strip() else widgets.plain(rarer))
        return

    shares = table.assign(
        **{part: 100 * numbers(table, part) for part in ("rate", "rate_against", "difference")}
    )
    number = st.column_config.NumberColumn
    measured = ["rate", "rate_against", "q"] if name else ["score"]
    help_of_others = f"Share of {others_name(population)}"
    described = {
        "word": st.column_config.TextColumn("Word"),
        "n_features": number("Features", width=66),
        "score": number("Best", format="%.2f", help=widgets.help_text("word_score"), width=50),
    }
    described["rate"] = number(f"% of {name or 'images'}", format="%.1f")
    described["rate_against"] = number("% of others", format="%.1f", help=help_of_others)
    described["q"] = number("q", format="%.2g", help=widgets.help_text("q_value"), width=70)

    def search(row: int) -> None:
        session.set_widget(controls.FIND, str(table["word"].iat[row]))

    pick_row(
        columns(shares, ["word", "n_features", *measured]),
        described,
        search,
        key="features_words",
        alt="Words of the features; select a row to search for that word",
        height=458,
    )
    download(study, table, population, name="words")


def _word_table(study: Study, population: Slice) -> pd.DataFrame:
    """All words; with a filter those more common in it come first, with their shares of images."""
    every = concept_reads.word_counts(study)
    here = inspection_reads.word_differences(study, population)
    merged = every.merge(here[["word", "rate", "rate_against", "difference", "q"]], on="word", how="left")
    keys = ["difference", "n_features", "word"]
    return merged.sort_values(keys, ascending=[False, False, True], na_position="last", ignore_index=True)


@widgets.stable_container
def _features(study: Study, population: Slice, find: str) -> None:
    explained = concept_reads.explained(study, population)
    scores = concept_reads.groups_with(study, find)
    if find.strip():
        explained = explained.loc[explained["group"].isin(list(scores)).to_numpy(bool)].reset_index(drop=True)
        explained = explained.assign(score=[scores[group] for group in explained["group"]])
        explained = explained.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    n_features = counted(len(explained), "feature")
    text = find.strip()
    st.header(f"{n_features} with {widgets.plain(repr(text))}" if text else f"{n_features} in words")
    if explained.empty:
        st.info(NONE if not scores else "None of these images activates a feature with this word highly.")
        return
    _table(explained, with_class=len(population.labels) != 1)
    download(study, explained.drop(columns="name"), population, name="concepts")


def _table(explained: pd.DataFrame, *, with_class: bool) -> None:
    number = st.column_config.NumberColumn
    named = explained.assign(top_class=explained["top_class"].map(with_class_names, na_action="ignore"))
    text = st.column_config.TextColumn
    described = {
        "name": text("Feature", width=62),
        "words": text("Words, the best first", width=250),
        "score": number("Best", format="%.2f", width=48, help=widgets.help_text("word_score")),
    }
    described["top_class"] = text("Most common class", width=118, help=OF_HIGHLY_ACTIVATING)
    described["n_images"] = number("Images", width=56, help=widgets.help_text("highly_activating"))

    def open_row(row: int) -> None:
        open_unit(str(explained["group"].iat[row]))

    shown = ["name", "words", "score", *["top_class"] * with_class, "n_images"]
    pick_row(
        columns(named, shown),
        described,
        open_row,
        key="concept_table",
        alt="Features whose words fit; select a row to open that feature",
        height=458,
    )


def open_unit(group: str) -> None:
    """Go to the page of a feature, or to a group of several. Meant for callbacks."""
    if is_joint(group):
        session.set_widget("features_as", "Groups")
        session.set_url("group", group)
    else:
        session.go("feature", feature=group)


@widgets.stable_container
def _described(study: Study, population: Slice, find: str) -> None:
    """The images of the filter whose crops were described with the text asked for."""
    text = find.strip()
    if not text:
        return
    described = concept_reads.described_with(study, text)
    inside = reads.mask(study, population)[described["row"].to_numpy(np.int64)]
    described = described.loc[inside].reset_index(drop=True)
    n = len(described)
    quoted = widgets.plain(repr(text))
    with st.expander(f"{counted(n, 'image')} described with {quoted}", expanded=True):
        if not n:
            st.caption("No caption that was found for one of these images holds it.")
            return
        rows = described["row"].to_numpy(np.int64)
        captions: dict[int, tuple[str, ...]] = {}
        for row, caption in zip(rows.tolist(), described["caption"], strict=True):
            captions[row] = (caption,)
        st.caption("The best fitting caption first; the number is its cosine.")
        cosines = [formatted(cosine, ".2f") for cosine in described["cosine"]]
        widgets.image_gallery(
            study,
            rows,
            key="concept_described",
            captions=captions,
            badges=dict(zip(rows.tolist(), cosines, strict=True)),
            page_size=TILES,
            tile=150,
            label="images described with it",
        )


def _facts(study: Study) -> None:
    """How the words were found, and what the step noted."""
    facts = study.facts(ConceptsFacts)
    n = len(concept_reads.explained(study))
    lines = [f"{n:,} features and groups of features are explained."]
    if facts.n_bank is not None and facts.clip:
        lines[0] = lines[0].removesuffix(".") + f", in words from {facts.n_bank:,} captions. "
        lines[0] += f"The CLIP model {facts.clip} compared them with crops of the images."
    if not (facts.k is None or facts.alpha is None or facts.n_images is None):
        lines.append(
            f"An image activates a feature highly above {facts.alpha:.3f}, which is {facts.k:g} "
            f"standard deviations over the mean; {facts.n_images:,} images were looked through."
        )
    lines += facts.notes
    with st.expander("How these words were found"):
        for line in lines:
            st.caption(widgets.plain(line))

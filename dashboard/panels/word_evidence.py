"""What features and groups mean in words: the evidence, and the list of words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import word_bars
from core.common.captions import with_class_names
from core.common.command_line import command_line
from core.common.dataframes import columns, numbers
from core.common.formatting import counted, formatted, with_interval
from core.common.group_names import is_joint
from core.common.records import Templates
from core.common.step_facts import ConceptsFacts
from core.concepts.photograph_clips import FETCH_CLIP
from core.measures.slice import Slice
from core.measures.slice_words import MOST_WORDS, best_first
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import concept_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import chart, download
from dashboard.components.choose_one import choose_one
from dashboard.components.page_link import link
from dashboard.components.widgets import pick_row, verdict
from dashboard.panels import feature_list
from dashboard.panels.feature_cards import others_name, population_name
from dashboard.state import served_studies, session

# What a feature, or a group of features, means in words, and the evidence for it.


_say = Templates.beside(__file__)
CLASSES = 5
DETECTED = 3  # words whose AUC is written out
TABLES = ("concepts", "highly_activating", "captions", "counterfactuals")
CROPS, CONTRAST, CAPTIONS = PARTS = ("Described crops", "Counterfactual images", "Captions")
TILES = 8
BESIDE = (2, 3)  # widths of the words and of their evidence
PLAIN, HEAT = "Image and crop", "Heatmap and crop"
BY = "; "  # between image ids in `discarded_by`


def ready(study: Study, what: str = "") -> bool:
    """True when the study holds words and the evidence for them; else says why not and what to do.

    what: what is missing, where the step left the words out; "": the items that are not there.
    """
    if not captioned(study):
        return False
    if what and (skipped := study.why_skipped("concepts")):
        command = command_line("concepts", study.path, captions="FILE", clip="MODEL@WEIGHTS")
        widgets.empty_state(what, nothing("left_out", why=skipped), command)
        return False
    return all(widgets.needs(study, item, "The words of the features") for item in TABLES)


def captioned(study: Study) -> bool:
    """False, with the way to choose them, when words were left out because the study has no captions."""
    skipped = study.why_skipped("concepts")
    given = study.settings("concepts").get("captions", "")
    brings_its_own = str(study.settings("embed").get("images") or "").startswith("glyphworld")
    if skipped and given is None and not (brings_its_own or study.facts(ConceptsFacts).captions):
        commands = (FETCH_CLIP, command_line("concepts", study.path))
        widgets.empty_state("No words yet", nothing("no_captions"), "\n".join(commands))
        link("new_study", "Choose the captions", study, icon="arrow_forward")
        return False
    return True


def word_evidence(study: Study, group: str, population: Slice) -> None:
    """Draw words with scores, and beside them the evidence: described crops, counterfactual images, captions.

    group: a feature as "12", or a group as "3+98". population: the filter, whose images the crops are of.
    """
    left, right = st.columns(BESIDE, gap="large")
    with left:
        scored_words(study, group)
    with right:
        evidence(study, group, population)


def evidence(study: Study, group: str, population: Slice) -> None:
    """Draw what the words come from: described crops, counterfactual images or captions."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.header("Evidence", width="content")
        part = choose_one("Evidence", PARTS, key="concept_evidence", default=CROPS)
    if part == CROPS:
        images(study, group, population)
    elif part == CONTRAST:
        contrast(study, concept_reads.of_group(study, "concepts", group), group)
        counterfactuals(study, group)
    else:
        _captions(study, group)


def classes(study: Study, group: str) -> None:
    """Draw how many of its highly activating images each class has."""
    if not study.labelled:
        return
    counts = concept_reads.class_counts(study, group)
    st.header(_classes_title(counts), help=widgets.help_text("highly_activating"))
    alt = f"Classes of the images that activate {concept_reads.unit_name(study, group)} highly"
    chart(
        study,
        "concept_classes",
        lambda theme: word_bars.class_bars(counts, most=CLASSES, theme=theme),
        group,
        alt=alt,
        data=counts,
        file=f"concept_classes_{group}",
    )


def _classes_title(counts: pd.DataFrame) -> str:
    if counts.empty:
        return "On which classes"
    n_images = counts["n_images"].to_numpy(np.int64)
    label = counts["label"].iat[0]
    return widgets.plain(f"Mostly {label}: {n_images[0]:,} of {n_images.sum():,} images")


def scored_words(study: Study, group: str) -> None:
    """Draw the words of a feature or group with their scores, the best first."""
    kept_words = _kept_words(study, group)
    st.header(widgets.plain(meaning(concept_reads.best_words(study, group, MOST_WORDS))))
    if group.isdecimal() and (judged := reads.name_verdict(study, int(group))):
        verdict(judged)
    if kept_words.empty:
        widgets.empty_state("No words", nothing("no_word_holds"))
        return
    name = concept_reads.unit_name(study, group)
    data = kept_words.drop(columns="discarded_by")
    chart(
        study,
        "concept_words",
        lambda theme: word_bars.word_bars(kept_words, theme=theme),
        group,
        alt=f"Scores of the words of {name}",
        data=data,
        file=f"concept_words_{group}",
    )
    if line := detection_line(kept_words):
        st.caption(widgets.plain(line), help=widgets.help_text("word_auc"))


def _kept_words(study: Study, group: str) -> pd.DataFrame:
    concepts = concept_reads.of_group(study, "concepts", group)
    return best_first(concepts.loc[concepts["kept"].to_numpy(bool)]).reset_index(drop=True)


def words_text(study: Study, feature: int) -> list[str]:
    """What the name of a feature is worth, and the AUC of its words, as `scored_words` says them."""
    judged = reads.name_verdict(study, feature)
    has_words = all(study.has(item) for item in TABLES)
    detected = detection_line(_kept_words(study, str(feature))) if has_words else ""
    return [text for text in (judged.sentence if judged else "", detected) if text]


def meaning(words: Sequence[str]) -> str:
    """Say what a feature may mean by its best words.

    >>> meaning(["sky", "blue"]), meaning([])
    ('It may mean sky or blue', 'What it means')
    """
    return _say("may_mean", names=tuple(words)) if words else "What it means"


def detection_line(kept_words: pd.DataFrame) -> str:
    """How well the feature detects the scenes that show its words; empty where their truth is not known."""
    if "auc" not in kept_words:  # made by an older version
        return ""
    tested = kept_words.loc[kept_words["auc"].notna().to_numpy(bool)].reset_index(drop=True).head(DETECTED)
    detected = tested[["word", "auc", "auc_low", "auc_high"]].itertuples(index=False)
    names = tuple(f"{word} {with_interval(auc, low, high, 2)}" for word, auc, low, high in detected)
    return _say("detects", names=names) if names else ""


def _captions(study: Study, group: str) -> None:
    captions = concept_reads.of_group(study, "captions", group)
    st.caption(f"The {len(captions):,} captions nearest to its crops, behind these words.")
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    described = {
        "caption": text("Caption", width="medium"),
        "cosine": number("Cosine", format="%.3f", width=70),
        "rank": number("Rank", width=60),
        "image_id": text("Image", width=110),
    }
    st.dataframe(
        columns(captions, list(described)),
        hide_index=True,
        height=380,
        alt="Captions nearest to each of its crops",
        column_config=described,
    )


def images(study: Study, group: str, population: Slice) -> None:
    """Draw the images of a filter that activate a group highly, the strongest first: each image and the crop
    that was described.
    """
    high = concept_reads.of_group(study, "highly_activating", group)
    rows = concept_reads.rows_of(study, high)
    fits = reads.mask(study, population)[rows]
    high, rows = high.loc[fits].reset_index(drop=True), rows[fits]
    boxes = concept_reads.boxes_of(high, rows)
    values = dict(zip(rows.tolist(), high["activation"].tolist(), strict=True))

    def pictures(some: list[int]) -> list[tuple[str, ...]]:
        thumbs = served_studies.picture_urls(study, some)
        crops = [concept_reads.crop_url(study, row, boxes[row]) for row in some]
        return [(thumb, crop or thumb) for thumb, crop in zip(thumbs, crops, strict=True)]

    st.caption(
        "Images that activate it highly, and the crop of each that was described. The number is the "
        "activation.",
        help=widgets.help_text("highly_activating"),
    )
    badges = {row: f"{value:.2f}" for row, value in values.items()}
    widgets.image_gallery(
        study,
        rows,
        key="concept_images",
        badges=badges,
        page_size=TILES,
        tile=180,
        label="images that activate it highly",
        why_none="None of these images activates it highly.",
        pictures=pictures,
        names=("Image", "Crop that was described"),
    )


def contrast(study: Study, concepts: pd.DataFrame, group: str) -> None:
    """The words that were discarded, or that there are no images for FALCON's contrast."""
    by_falcon = study.facts(ConceptsFacts).naming == "falcon"
    if by_falcon and concept_reads.of_group(study, "counterfactuals", group).empty:
        st.caption(
            "No image is like these in everything but this feature, so its words stand without contrast: "
            "some of them may be true of any image of the kind."
        )
        return
    _discarded(concepts.loc[~concepts["kept"].to_numpy(bool)].reset_index(drop=True))


def counterfactuals(study: Study, group: str) -> None:
    """Images like its own but for this feature."""
    images = concept_reads.of_group(study, "counterfactuals", group)
    if images.empty:
        return
    rows = concept_reads.rows_of(study, images)
    took = _took_away(concept_reads.of_group(study, "concepts", group))
    st.caption(
        f"{counted(len(rows), 'image')} like its own in everything but this feature, the most "
        "similar first, with the discarded words that each shows. The number: similarity without it.",
        help=widgets.help_text("counterfactual"),
    )
    scores = [f"{score:.2f}" for score in images["score"]]

    def caption(fact: Mapping[str, Any]) -> tuple[str, ...]:
        return (*widgets.caption_lines(fact), *took.get(str(fact["image_id"]), ()))

    widgets.image_gallery(
        study,
        rows,
        key="concept_counterfactuals",
        captions=caption,
        badges=dict(zip(rows.tolist(), scores, strict=True)),
        page_size=20,
        tile=110,
        label="counterfactual images",
    )


def _took_away(concepts: pd.DataFrame) -> dict[str, tuple[str]]:
    """By image id the words that it discarded."""
    groups: dict[str, list[str]] = {}
    for word, by in zip(concepts["word"], concepts["discarded_by"], strict=True):
        for image_id in str(by).split(BY) if by else []:
            groups.setdefault(image_id, []).append(str(word))
    return {image_id: ("not " + ", ".join(words),) for image_id, words in groups.items()}


def _discarded(words: pd.DataFrame) -> None:
    if words.empty:
        st.caption("None of its words is also true of other images, so none was discarded.")
        return
    n_images = np.array([len(by.split(BY)) if by else 0 for by in words["discarded_by"]])
    table = words.assign(n_images=n_images)
    st.caption("Discarded, because they are true of other images as well:")
    number = st.column_config.NumberColumn
    described = {
        "word": st.column_config.TextColumn("Word", width=100),
        "score": number("Score", format="%.2f", width=55),
        "n_images": number("Also true of", format="%d images", width=110),
    }
    st.dataframe(
        columns(table, list(described)),
        hide_index=True,
        height=min(38 + 35 * len(table), 388),
        alt="Discarded words, and of how many counterfactual images each is true",
        column_config=described,
    )


# The words of the features: which there are, which are typical of a filter, which features mean one.


WORD_TILES = 12
OF_HIGHLY_ACTIVATING = (
    "Of the images that activate the feature highly, which its words are of. Cards count the images on which "
    "it fires, by another threshold."
)
NONE = "No feature has a word that begins so. Words are in lower case and in the singular."


def word_table(study: Study, population: Slice, find: str) -> None:
    """Draw the words on the left, and the features that mean those asked for on the right.

    population: the filter, whose images are counted. find: what the words have to begin with; empty for all.
    """
    if not ready(study, "No feature was put into words"):
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
        session.set_widget(feature_list.FIND, str(table["word"].iat[row]))

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
    here = reads.word_differences(study, population)
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
            page_size=WORD_TILES,
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

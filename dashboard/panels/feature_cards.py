"""Features as cards: name, pictures with heatmaps, how often they fire, and where they look."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import numbers
from core.measures.slice import Slice
from core.measures.slice_comparison import is_filtered
from core.measures.slice_features import FiringClass
from core.store import Study
from core.study.overlay_image import OverlayStyle
from dashboard.cache import feature_reads, heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.cards import Bar, Card, Picture, Tone, cards
from dashboard.panels.heat_words import verdict_text
from dashboard.state import served_studies, session
from dashboard.state.overlay_images import overlay_urls

PICTURES, WORDLESS = 4, 8  # of a feature, and of one that neither words nor classes describe
FEW = 3  # on narrow cards
CROP, HEAT = OverlayStyle(crop=True), OverlayStyle()  # looks of a picture
VERDICTS: dict[str, tuple[str, Tone]] = {
    "core": ("on the object", "good"),
    "spurious": ("on the background", "bad"),
    "undecided": ("undecided", "quiet"),
    "disputed": ("heat and words differ", "quiet"),
}
Row = Mapping[str, Any]
NO_WORDS = (
    "Words were not computed here: they need captions, see Words above. So a feature is named by a class "
    "only where most of its strongest images are of that class, and else by its number."
)
WORDS_COME = (
    "Words are still being computed. Until then a feature is named by a class only where most of its "
    "strongest images are of that class, and else by its number."
)
NOTES = {  # what the words of a note mean
    "heat": "heat: its words are seen in the crops around the heat.",
    "scene": "scene: its words are seen only in the whole images, maybe beside what it looks at.",
    "weak": "weak: its first word holds for few of its images, or tells them from others only weakly.",
    "alike": "alike: neither further words nor classes tell as many features apart.",
    "stability": "stability: how nearly a second run, from another random start, found the same latent (1: "
    "the same; below 0.7 it may be an accident).",
    "word": "no word: no word of the captions holds for most of its images and few others.",
}
MOST_CLASSES = 3  # that are named


def draw(
    study: Study,
    features_table: pd.DataFrame,
    population: Slice,
    *,
    key: str,
    label: str,
    bars: Callable[[Row], tuple[Bar, ...]] | None = None,
    query: Mapping[str, str] | None = None,
    full: float | None = None,
) -> None:
    """Draw a card per feature; a click opens its page.

    Args:
        full: the share at which a bar is full; None: the largest of these features.
        features_table: rows of `feature_reads.listed`. population: the images of the pictures.
        bars: in place of how often a feature fires. query: further parts of the address of its page.
    """
    parts = dict(query or {})
    features = tuple(features_table["feature"].tolist())
    wordless = not (study.has("concepts") or feature_reads.classes_tell(study))
    drawn_pictures = pictures(study, population, features, WORDLESS if wordless else PICTURES)
    rows = features_table.to_dict("records")
    scale = full_bar(features_table) if full is None else full
    drawn = bars or (lambda row: _rates(row, population, scale, n_classes=len(study.class_names)))
    made = [_card(study, row, drawn_pictures[row["feature"]], drawn(row), parts) for row in rows]
    cards(
        made,
        key=key,
        label=label,
        on_open=lambda feature: session.go("feature", **parts, feature=feature),
        width=250,
        pictures_first=wordless,
        in_a_row=PICTURES,
    )


def with_lines(
    study: Study,
    population: Slice,
    lines: Mapping[int, str],
    *,
    key: str,
    label: str,
    width: int,
    spread: bool = False,
) -> None:
    """Draw a card per feature: pictures of the filter's images, and its line; a click opens its page, without
    a filter where the pictures know none (they may be of another study, that cannot meet it).
    """
    parts = {} if is_filtered(study, population) or not session.filter_text() else {session.WHERE: ""}
    words = feature_reads.names(study)
    drawn = pictures(study, population, tuple(lines), FEW)
    notes = {feature: reads.number_and_place(study, feature) for feature in lines if feature in words}
    made = []
    for feature, line in lines.items():
        note = notes.get(feature, "")
        address = session.href("feature", study, **parts, feature=str(feature))
        card = Card(
            str(feature),
            title=feature_reads.title(study, feature),
            note=note,
            note_help=legend([note]),
            href=address,
            subtitle=line,
        )
        made.append(replace(card, pictures=drawn[feature]))

    def open_feature(feature: str) -> None:
        session.go("feature", study, **parts, feature=feature)

    cards(
        made,
        key=key,
        label=label,
        on_open=open_feature,
        width=width,
        spread=spread,
        pictures_first=True,
        in_a_row=FEW,
    )
    if explained := legend(notes.values()):
        st.caption(explained)


def legend(notes: Iterable[str]) -> str:
    """Explain the words of notes on cards, each once; "" where there is nothing to explain."""
    noted_words = {word for note in notes for word in note.split()}
    return " ".join(text for word, text in NOTES.items() if word in noted_words)


def title_and_note(study: Study, row: Row) -> tuple[str, str]:
    """The name of a feature, and in grey its number and source, or without words the classes it fires on."""
    number, name = int(row["feature"]), row["name"]
    stable = reads.stability(study, number)
    trust = [f"stability {stable:.2f}"] if stable is not None else []
    if alike := feature_reads.namesakes(study)[name]:
        shared = [f"{alike} alike"] if alike > 1 else []
        return name, " · ".join([reads.number_and_place(study, number), *trust, *shared])
    wordless = f"#{number} · no word" if study.has("concepts") else f"#{number}"
    parts = (wordless if name else row["classes"], *trust)
    return name or f"{study.feature_kind} {number}", " · ".join(filter(None, parts))


def _card(
    study: Study, row: Row, pictures: tuple[Picture, ...], bars: tuple[Bar, ...], parts: Mapping[str, str]
) -> Card:
    title, note = title_and_note(study, row)
    firing = row.get("firing_class")
    if firing is not None and firing.few and bars and bars[0].text.endswith(firing.images):
        note = note.removeprefix(firing.words).removeprefix(" · ")  # its bar says it
    tag, tone = VERDICTS.get(row["verdict"], ("", "quiet"))
    address = session.href("feature", study, **parts, feature=str(row["feature"]))
    number = str(row["feature"])
    return Card(
        id=number,
        title=title,
        note=note,
        note_help=legend([note]),
        href=address,
        tag=tag,
        tag_help=str(verdict_text(study, row["feature"])) if tag else "",
        tone=tone,
        pictures=pictures,
        bars=bars,
    )


def full_bar(features_table: pd.DataFrame) -> float:
    """The share at which a bar is full: the largest of these features, so that shares compare."""
    shares = np.concatenate([numbers(features_table, name) for name in ("rate", "rate_against")])
    return float(np.fmax.reduce(shares, initial=0.05))


def _rates(row: Row, population: Slice, scale: float, *, n_classes: int) -> tuple[Bar, ...]:
    """How often a feature fires on the images of a filter and on the others, or which class these are of."""
    name = population_name(population)
    firing = None if name else row["firing_class"]
    here = Bar(name or "fires on", _length(row["rate"], scale), _rate_words(row["rate"], firing))
    if name:
        there = Bar(
            others_name(population),
            _length(row["rate_against"], scale),
            widgets.percent(row["rate_against"]),
            "quiet",
        )
        return here, there
    if n_classes == 1 or firing is None or firing.few:
        return (here,)
    text = f"{firing.n:,} of {firing.of:,}"
    return here, Bar(f"most often {firing.name}", firing.n / firing.of, text, "quiet")


def _rate_words(rate: float, firing: FiringClass | None) -> str:
    if rate == 0:
        return "never"
    few = f", {firing.images}" if firing is not None and firing.few else ""
    return f"{widgets.percent(rate)}{few}"


def _length(share: float, scale: float) -> float:
    return 0.0 if widgets.undefined(share) else min(share / scale, 1.0)


def pictures(
    study: Study,
    population: Slice,
    features: tuple[int, ...],
    most: int = PICTURES,
    look: OverlayStyle = CROP,
) -> dict[int, tuple[Picture, ...]]:
    """Pictures of the images of a filter on which each feature fires most, whole where no heatmap is stored.

    Args:
        most: of each feature. look: CROP for what lies under the heat, HEAT for where in the image that is.
    """
    strongest = feature_reads.strongest(study, population, features, most)
    return {feature: pictures_of(study, feature, *strongest[feature], look) for feature in features}


def pictures_of(
    study: Study, feature: int, rows: list[int], n_stored: int, look: OverlayStyle = CROP
) -> tuple[Picture, ...]:
    """The pictures of some images; of the first `n_stored` the heatmap of a feature is stored."""
    style = replace(look, features=(feature,))
    addresses = overlay_urls(study, rows[:n_stored], [style] * n_stored)
    addresses += served_studies.picture_urls(study, rows[n_stored:])
    shown = "what {} looks at" if look.crop else "heatmap of {}"
    kinds = [shown.format(f"{study.feature_kind} {feature}")] * n_stored
    kinds += ["no stored heatmap"] * (len(rows) - n_stored)
    facts = reads.facts_of(study, rows)
    made = []
    for address, fact, kind in zip(addresses, facts, kinds, strict=True):
        name = widgets.truth_then_answer(fact)[0]
        made.append(Picture(address, f"{name}: {kind}"))
    return tuple(made)


def thumbnails(study: Study, rows: np.ndarray | Sequence[int]) -> tuple[Picture, ...]:
    """The images as they are."""
    numbers = [int(row) for row in rows]
    facts = reads.facts_of(study, numbers)
    urls = served_studies.picture_urls(study, numbers)
    return tuple(Picture(url, widgets.image_name(fact)) for url, fact in zip(urls, facts, strict=True))


def heat_pictures(
    study: Study, feature: int, n: int, look: OverlayStyle = CROP, *, besides: Sequence[int] | np.ndarray = ()
) -> tuple[Picture, ...]:
    """The images on which a feature is largest, but for those of `besides`, in a look where a heatmap is
    stored.
    """
    if not study.has("top_images"):
        return ()
    rows = reads.top_rows(study, feature)
    rows = rows[~np.isin(rows, besides)]
    stored = rows[np.isin(rows, heatmap_reads.rows_with(study, feature))][:n].tolist()
    return pictures_of(study, feature, stored, len(stored), look) if stored else thumbnails(study, rows[:n])


def population_name(population: Slice) -> str:
    """Name the images of a filter in a few words; empty for a filter that names at most a split.

    >>> population_name(Slice(split="val", labels=("bird",))), population_name(Slice(split="val"))
    ('bird', '')
    >>> population_name(Slice(labels=("bird", "cat"), correct=False)), population_name(Slice(correct=True))
    ('misclassified bird or cat', 'correctly classified images')
    >>> population_name(Slice(confusion=("bird", "cat")))
    'bird taken for cat'
    >>> population_name(Slice(labels=("bird",), fires=(3,)))
    'bird, filtered'
    """
    plain = replace(population, name="", split=None)
    if not plain:
        return ""
    if plain == Slice(confusion=plain.confusion) and plain.confusion:
        return f"{plain.confusion[0]} taken for {plain.confusion[1]}"
    kind = {True: "correctly classified ", False: "misclassified ", None: ""}[plain.correct]
    rest = replace(plain, labels=(), correct=None)
    if not (plain.labels or kind):
        return "the filtered images"
    return f"{kind}{_classes(plain.labels) or 'images'}{', filtered' if rest else ''}"


def others_name(population: Slice) -> str:
    """Name the images that those of a filter are compared with.

    >>> others_name(Slice(labels=("bird",), split="val")), others_name(Slice(correct=False))
    ('other classes', 'all other images')
    """
    return (
        "other classes"
        if replace(population, split=None) == Slice(labels=population.labels)
        else "all other images"
    )


def _classes(labels: tuple[str, ...]) -> str:
    if len(labels) > MOST_CLASSES:
        return f"{len(labels)} classes"
    return " or ".join(labels)

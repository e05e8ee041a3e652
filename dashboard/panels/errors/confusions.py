"""Which classes the probe confuses: a ranked list with pictures, the matrix beside it, and one confusion."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts import confusions
from core.common.dataframes import numbers
from core.common.formatting import counted
from core.common.step_facts import FailuresFacts
from core.slices.inspection.populations import with_split
from core.slices.slice import Slice
from core.storage.missing import nothing
from core.store import Study
from dashboard.addresses.pages import ANSWERED, CONFUSED, of_confusion
from dashboard.cache import reads
from dashboard.cache.features import concept_reads, feature_reads
from dashboard.components import widgets
from dashboard.components.cards import Card, Picture, cards
from dashboard.components.chart import chart
from dashboard.components.choose_one import select_class
from dashboard.panels.errors import one_confusion
from dashboard.panels.features.feature_cards import heat_pictures, thumbnails
from dashboard.state import session

PAGE = 8
PICTURES = 4


def confusion_matrix_part(study: Study, population: Slice, answer_slot: DeltaGenerator) -> None:
    """Draw the section; `answer_slot`, the line below the title, says how many confusions there are."""
    pairs = reads.slice_table(study, population, "confusions").rename(columns={"n": "n_images"})
    if pairs.empty:
        widgets.empty_state("No confusions", nothing("none_misclassified"))
        return
    pairs = _confident_first(study, population, pairs)
    others = int(numbers(pairs.loc[~pairs["predicted"].isin(study.class_names)], "n_images").sum())
    beside = f"{counted(others, 'error')}: the answer is a class that no image is labelled with."
    n, most = len(pairs), int(pairs["n_images"].iloc[0])
    most_images = f"{counted(most, 'image')}." if n == 1 else f"at most {counted(most, 'image')} each."
    sentence = f"{counted(n, 'pair')} of classes, {most_images}"
    answer_slot.caption(f"{sentence} {beside}" if others else sentence)
    true, predicted = _choose(study, pairs)
    with st.container(key="stacked_confusions"):
        if _each_another(study, pairs):  # a matrix of ones would tell nothing
            left, right = st.container(), st.container()
        else:
            left, right = st.columns([3, 2], gap="large")
    if not _each_another(study, pairs):
        with right:
            _matrix(study, population, pairs, (true, predicted))
    if true is None or predicted is None:
        with right:
            _blame(study, population)
        with left:
            _ranked(study, population, pairs, true, predicted)
        one_confusion.load_encoder(study)  # while the reader chooses
        return
    rows = concept_reads.confused_rows(study, population, true, predicted)
    feature = None
    with left:
        if rows.size:
            feature = one_confusion.images(study, population, rows, true, predicted)
        else:
            _never(pairs, true, predicted)
    if rows.size:
        one_confusion.correct_under(study, population, feature, true, predicted)
        one_confusion.features_behind(study, population, true, predicted)


def _each_another(study: Study, pairs: pd.DataFrame) -> bool:
    """Whether classes have so few images that no two of them are confused twice."""
    return not feature_reads.classes_tell(study) and bool((numbers(pairs, "n_images") == 1).all())


def _confident_first(study: Study, population: Slice, pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs of most images first; of equally many, those with the highest confidence, a column too."""
    images = reads.images(study)
    answers = pd.DataFrame({name: images[name].to_numpy() for name in ("label", "predicted", "confidence")})
    answers = answers.loc[reads.mask(study, population)].astype({"label": str, "predicted": str})
    highest = answers.groupby(["label", "predicted"])["confidence"].max().to_dict()
    named = zip(pairs["true"].astype(str), pairs["predicted"].astype(str), strict=True)
    confidence = np.array([highest.get(pair, np.nan) for pair in named])
    order = np.lexsort((-confidence, -numbers(pairs, "n_images")))
    return pairs.assign(confidence=confidence).take(order).reset_index(drop=True)


def n_errors(headline: Mapping[str, Any]) -> int:
    """Return the number of misclassified images."""
    return round(headline["accuracy_n"] * (1 - headline["accuracy"]))


@widgets.stable_container
def _blame(study: Study, population: Slice) -> None:
    """What removing the blamed features does, over all images that the step has tried it on."""
    interventions = study.facts(FailuresFacts).interventions
    if interventions and population == with_split(study, Slice()):
        interventions = widgets.plain(f"{interventions[0].upper()}{interventions[1:]}.")
        st.caption(
            f"**Are the blamed features to blame?** {interventions}", help=widgets.help_text("removal")
        )


@widgets.stable_container
def _choose(study: Study, pairs: pd.DataFrame) -> tuple[str | None, str | None]:
    """The row of controls: one class, or both of a confusion, which is then opened."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", width="content"):
        true = _class(study, pairs, "true", "Truth", CONFUSED)
        st.markdown("→", width="content")
        predicted = _class(study, pairs, "predicted", "Answer", ANSWERED)
        st.button(  # always there, so that nothing moves when a pair opens
            "All confusions",
            key="failure_all",
            icon=":material/arrow_back:",
            type="tertiary",
            disabled=not (true or predicted),
            on_click=_choose_both,
            args=(None, None),
        )
    return true, predicted


def _class(study: Study, pairs: pd.DataFrame, side: str, label: str, key: str) -> str | None:
    there = set(pairs[side])
    options = [*(name for name in study.class_names if name in there), *sorted(there - {*study.class_names})]
    return select_class(label, options, key=key, width=180, placeholder=f"{label}: any class")


def _choose_both(true: str | None, predicted: str | None) -> None:
    session.set_url(CONFUSED, true)
    session.set_url(ANSWERED, predicted)
    session.set_url(one_confusion.UNDER, None)


@widgets.stable_container
def _ranked(
    study: Study, population: Slice, pairs: pd.DataFrame, true: str | None, predicted: str | None
) -> None:
    for side, name in (("true", true), ("predicted", predicted)):
        pairs = pairs if name is None else pairs.loc[pairs[side] == name].reset_index(drop=True)
    by_id = {
        f"{one} → {other}": (one, other) for one, other in zip(pairs["true"], pairs["predicted"], strict=True)
    }
    each_another = _each_another(study, pairs)
    slot = st.container()
    page_pairs = pairs.iloc[widgets.page_span(len(pairs), PAGE, key="failure_page")]
    labels = pd.Series(reads.images(study)["label"].to_numpy(object)[reads.mask(study, population)])
    sizes = {str(name): int(n) for name, n in labels.value_counts().items()}
    with slot:
        cards(
            [
                _card(study, population, row, sizes, by_confidence=each_another)
                for row in page_pairs.to_dict("records")
            ],
            key="failure_list",
            label="Confusions, the most common first",
            on_open=lambda chosen: _choose_both(*by_id[chosen]),
            wide=not each_another,
            width=400,
        )


def _card(study: Study, population: Slice, row: dict, sizes: dict[str, int], *, by_confidence: bool) -> Card:
    true, predicted, n = str(row["true"]), str(row["predicted"]), int(row["n_images"])
    size, sure = sizes.get(true, 0), row["confidence"]
    named = concept_reads.pushed_by(study, population, true, predicted)
    share = f"{widgets.percent(n / size)} of the {counted(size, 'image')} of {true}" if size else ""
    only = f"the only image of {true}" * (max(sizes.values(), default=0) > 1)
    rows = concept_reads.confused_rows(study, population, true, predicted)[:PICTURES]
    seen = _looked_at(study, population, true, predicted, rows) if named else ()
    lines = (str(named),) if named else ()
    if seen:
        lines = (
            *lines,
            f"The last {counted(len(seen), 'picture')}: what the first of these features looks at",
        )
    name = f"{true} → {predicted}"
    note = f"confidence {widgets.percent(sure, digits=0)}" if by_confidence else counted(n, "image")
    return Card(
        name,
        name,
        href=session.href("errors", study, **of_confusion(true, predicted)),
        note=note,
        subtitle=only if size == 1 else share,
        pictures=(*thumbnails(study, rows), *seen),
        lines=lines,
    )


def _looked_at(
    study: Study, population: Slice, true: str, predicted: str, shown: np.ndarray
) -> tuple[Picture, ...]:
    """What the feature looks at that pushes most towards the answer: its strongest images that are not
    shown, as many as there is room for.
    """
    n = PICTURES - len(shown)
    pushing = concept_reads.pushers(study, population, true, predicted, 1) if n else []
    return heat_pictures(study, pushing[0], n, besides=shown) if pushing else ()


@widgets.stable_container
def _matrix(
    study: Study, population: Slice, pairs: pd.DataFrame, selected: tuple[str | None, str | None]
) -> None:
    classes = confusions.confused_classes(pairs, study.class_names)
    truths, answers = confusions.sides(pairs, classes)
    pair = (selected[0], selected[1]) if selected[0] and selected[1] else None
    chart(
        study,
        "failure_matrix",
        lambda theme: confusions.confusion_matrix(pairs, answers, truths=truths, selected=pair, theme=theme),
        *(population, pair),
        alt="Number of misclassified images of each true class, by the answer",
        data=pairs,
        on_select=_clicked,
    )
    n_confused = len({*pairs["true"], *pairs["predicted"]})
    if len(classes) < n_confused:
        st.caption(f"The {len(classes)} of {n_confused} classes that are confused most.")


def _clicked(points: list[dict]) -> None:
    true, predicted = points[-1]["customdata"]
    _choose_both(str(true), str(predicted))


def _never(pairs: pd.DataFrame, true: str, predicted: str) -> None:
    """A pair that was never confused, and what its class was taken for."""
    names = f"**{widgets.plain(true)}**", f"**{widgets.plain(predicted)}**"
    others = pairs.loc[pairs["true"] == true].reset_index(drop=True)
    answers = ", ".join(
        f"{name} ({n})" for name, n in zip(others["predicted"], others["n_images"], strict=True)
    )
    st.markdown(f"No image of {names[0]} was taken for {names[1]}.")
    st.caption(widgets.plain(f"Images of {true} were taken for: {answers}."))

"""Which classes the probe confuses, and one confusion with its images and features."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.answers.class_logits import LOCAL, can_switch_off, has_gradients
from core.charts import confusions, word_bars
from core.common.captions import with_class_names
from core.common.dataframes import numbers
from core.common.formatting import counted
from core.common.records import Templates
from core.common.step_facts import FailuresFacts
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.measures.slice_comparison import is_filtered, with_split
from core.pictures.confused import Without
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.missing import nothing
from core.study.overlay_image import OverlayStyle
from dashboard.cache import concept_reads, feature_reads, heatmap_reads, reads, tried_reads
from dashboard.components import widgets
from dashboard.components.cards import Card, Picture, cards
from dashboard.components.chart import chart
from dashboard.components.choose_one import pick_one, select_class
from dashboard.components.job_follower import follow_model
from dashboard.components.page_link import link
from dashboard.jobs import resident_models
from dashboard.panels import heatmaps
from dashboard.panels.feature_cards import heat_pictures, thumbnails
from dashboard.panels.heatmaps import compute_missing
from dashboard.state import session
from dashboard.state.pages import ANSWERED, CONFUSED, of_confusion

# One confusion: its images under the feature that pushes them, the answer without it, and correct images
# under it; and all features that push towards the answer or the truth.


_say = Templates.beside(__file__)
TILES = 12
CORRECT = 6  # correct images of each class
TOP_IMAGES = 4
MOST = 5  # features that are offered
UNDER = "under"  # part of the URL: the feature under which the images are shown


@widgets.stable_container
def confused_images(
    study: Study, population: Slice, rows: np.ndarray, true: str, predicted: str
) -> int | None:
    """The images under the feature that pushes them, most confident first, what the answer is without it, and
    the ways on; returns that feature.
    """
    n = len(rows)
    st.header(widgets.plain(f"{true} → {predicted}"), anchor=False)
    where = Slice.joined([population, Slice(confusion=(true, predicted))])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        names = (widgets.plain(true), widgets.plain(predicted))
        st.markdown(_say("one_taken_for" if n == 1 else "taken_for", n=n, names=names), width="content")
        link("images", "Open in Images", study, icon="photo_library", where=where)
    feature = _choose_feature(study, population, true, predicted)
    if feature is None:
        _pictures(study, rows, feature, _lines, "failure_images", TILES)
        return None
    asked, answers, changed = rows[:CHUNK_ROWS], {}, ""
    if can_switch_off(study):
        without = concept_reads.without_feature(study, asked, feature, true, predicted)
        st.markdown(_told(study, without, feature, true, predicted), help=widgets.help_text("push"))
        names = study.column("images", "image_id").iloc[asked]
        answers = dict(zip(names, without.answers, strict=True))
        changed = _changed(without)

    def lines(fact: Mapping[str, Any]) -> tuple[str, ...]:
        answer = answers.get(fact["image_id"])
        return (*_lines(fact), *(() if answer is None else (f"{changed}: {answer}",)))

    _await_maps(study, population, rows, feature, (true, predicted))
    _pictures(study, rows, feature, lines, "failure_images", TILES)
    return feature


def _choose_feature(study: Study, population: Slice, true: str, predicted: str) -> int | None:
    """The feature under which the images are shown: the one of the address, else the one that pushes most."""
    options = concept_reads.pushers(study, population, true, predicted, MOST)
    if not options:
        missing = study.why_missing("probe_weights") or study.why_missing("representations")
        if missing is not None:
            st.caption(widgets.plain(f"Which features push is not known: {missing.sentence}"))
        return None
    n_features = study.array("representations").shape[1]
    asked = session.url_int(UNDER, below=n_features, what="feature")
    options += [] if asked is None or asked in options else [asked]
    feature = options[0] if asked is None else asked
    names = dict(zip(reads.list_names(study, options), options, strict=True))
    shown = next(name for name, number in names.items() if number == feature)
    pick_one(
        "Under the feature",
        list(names),
        shown,
        key=f"_{UNDER}",
        on_pick=lambda name: session.set_url(UNDER, names[name]),
        shows_label=True,
        help="First those that push most towards the answer",
    )
    return feature


def _changed(without: Without) -> str:
    """What setting the feature to its mean is: it goes, or comes back where there is too little of it."""
    return "with as much of it as usual" if without.too_little else "without it"


def _told(study: Study, without: Without, feature: int, true: str, predicted: str) -> str:
    """How much of the lead the feature is, and what the answers are without it."""
    answer, truth, n = widgets.plain(predicted), widgets.plain(true), len(without.answers)
    name, other = widgets.plain(reads.feature_name(study, feature)), without.changed - without.to_true
    lead = f"{without.lead:.2f} logits"
    if without.lead > 0:
        lead += f" ({widgets.percent(without.push / without.lead, digits=0)})"
    kind = "too_little" if without.too_little else "push"
    push = _say(kind, what=name, value=without.push, names=(lead, answer, truth))
    changed, kind = _changed(without).capitalize(), "become_both" if other else "become"
    become = _say(kind, what=changed, n=without.to_true, of=n, names=(truth, f"{other:,}"))
    if not without.n_alike:
        return f"{push} {become}."
    alike = _say("alike", n=without.n_alike, value=without.changed_alike, of=n)
    return f"{push} {become}; {alike}."


def _await_maps(
    study: Study, population: Slice, rows: np.ndarray, feature: int, classes: tuple[str, str]
) -> None:
    """Say what the heatmaps that are not stored wait for: those of a basis for a click."""
    if not study.has("heatmap_maps"):
        return
    correct = [_correct(study, population, feature, of)[0][:CORRECT] for of in classes]
    shown = np.concatenate([rows[:TILES], *correct]).tolist()
    missing = [row for row in shown if feature not in heatmap_reads.features_of(study, row)]
    if missing and study.below is not None:
        compute_missing(study, missing, [feature])
    elif missing:
        state = resident_models.prepare_encoder(study)
        if state.name == "loading":
            follow_model(
                lambda: resident_models.prepare_encoder(study),
                lambda seconds: f"Loading the encoder for the heatmaps: {seconds:.0f} s so far.",
            )
        elif state.name != "ready":
            st.caption(widgets.plain(f"No heatmaps of this feature: {state.why}"))


def load_encoder(study: Study) -> None:
    """Begin to load what computes the heatmaps that are not stored; does not wait."""
    if study.has("heatmap_maps") and study.below is None:
        resident_models.prepare_encoder(study)


def _unstored(study: Study, row: int, feature: int) -> str:
    """The address of a heatmap that is not stored, from the loaded encoder; empty until it is loaded."""
    if study.below is not None or resident_models.prepare_encoder(study).name != "ready":
        return ""
    try:
        return tried_reads.heat(study, row, feature)
    except PeregrineError:
        return ""


def _correct(study: Study, population: Slice, feature: int, of: str) -> tuple[np.ndarray, np.ndarray]:
    """The correct images of a class and the feature's activation on them, the strongest first."""
    rows = np.empty(0, np.int64)
    if of in study.class_names:  # a head may answer what no image has as label
        rows = np.flatnonzero(reads.mask(study, Slice(split=population.split, labels=(of,), correct=True)))
    values = heatmap_reads.activations(study, feature, rows)
    order = np.argsort(-values, kind="stable")
    return rows[order], values[order]


def _pictures(
    study: Study, rows: np.ndarray, feature: int | None, captions: widgets.Captions | None, key: str, n: int
) -> None:
    """The images and their heatmaps of one feature, with its activation; the images alone without any."""
    if feature is None:
        return widgets.image_gallery(study, rows, key=key, captions=captions, page_size=n)
    values = heatmap_reads.activations(study, feature, rows)
    badges = {int(row): f"{value:.2f}" for row, value in zip(rows, values, strict=True)}
    unstored = partial(_unstored, study, feature=feature)
    if study.has("heatmap_maps") and any(
        feature in heatmap_reads.features_of(study, row) or unstored(row) for row in rows[:n].tolist()
    ):
        heatmaps.heatmap_gallery(
            study, rows, OverlayStyle(features=(feature,)), key=key, kinds=("Original", "Overlay"),
            captions=captions, badges=badges, page_size=n, label="images of this confusion",
            unstored=unstored,
        )  # fmt: skip
        return None
    return widgets.image_gallery(study, rows, key=key, captions=captions, badges=badges, page_size=n)


@widgets.stable_container
def correct_under(study: Study, population: Slice, feature: int | None, true: str, predicted: str) -> None:
    """Correct images of both classes under the same feature: where it is strongest, and how strong it is."""
    if feature is None:
        return
    confused = concept_reads.confused_rows(study, population, true, predicted)
    here = heatmap_reads.activations(study, feature, confused).mean()
    name = widgets.plain(reads.feature_name(study, feature))
    whole = ", also outside the filter" if is_filtered(study, population) else ""
    st.header(f"Correct images under {name}", anchor=False)
    for column, of in zip(st.columns(2, gap="large"), (predicted, true), strict=True):
        rows, values = _correct(study, population, feature, of)
        with column:
            if not rows.size:
                is_label = of in study.class_names
                line = (
                    f"No image of {of} is classified correctly."
                    if is_label
                    else f"No image is labelled {of}."
                )
                st.caption(widgets.plain(line))
                continue
            st.markdown(
                f"**{widgets.plain(of)}**: {values.mean():.2f} on average on "
                f"{counted(len(rows), 'correct image')}{whole} ({here:.2f} on those confused); the strongest:"
            )
            _pictures(study, rows[:CORRECT], feature, None, f"failure_correct_{of}", CORRECT)


def _lines(fact: Mapping[str, Any]) -> tuple[str, ...]:
    """Truth first, then the answer and how sure it is."""
    sure = "" if widgets.undefined(fact.get("confidence")) else widgets.percent(fact["confidence"], digits=0)
    return (f"{fact['label']} → {fact['predicted']}{f', {sure}' if sure else ''}",)


@widgets.stable_container
def features_behind(study: Study, population: Slice, true: str, predicted: str) -> None:
    """The features that push towards the answer, and those that push towards the truth."""
    table = concept_reads.behind_confusion(study, population, true, predicted)
    if table.empty:
        return
    sides = (("predicted", f"Behind the answer, {predicted}"), ("true", f"Behind the truth, {true}"))
    for column, (side, title) in zip(st.columns(2, gap="large"), sides, strict=True):
        with column:
            st.header(widgets.plain(title), help=widgets.help_text("push"), anchor=False)
            part = table.loc[table["side"] == side].reset_index(drop=True)
            _side(study, part, side, (population, true, predicted))
    if has_gradients(study):
        st.caption(LOCAL)


def _side(study: Study, part: pd.DataFrame, side: str, of: tuple[Slice, str, str]) -> None:
    towards = with_class_names(of[1] if side == "true" else of[2])
    chart(
        study,
        f"failure_behind_{side}",
        lambda theme: word_bars.contribution_bars(
            part.rename(columns={"push": "contribution"}),
            colour=theme.correct if side == "true" else theme.misclassified,
            theme=theme,
            kind=study.feature_kind,
        ).update_xaxes(title_text=f"pushes towards {towards}, in logits"),
        *of,
        alt=f"How much of the lead each feature is that pushes towards the {side} class",
        data=part,
    )
    cards(
        [_feature_card(study, row) for row in part.to_dict("records")],
        key=f"failure_features_{side}",
        label=f"Features behind the {'answer' if side == 'predicted' else 'truth'}",
        on_open=lambda feature: session.go("feature", feature=feature),
        width=210,
    )


def _feature_card(study: Study, row: Mapping[Any, Any]) -> Card:
    feature = str(row["feature"])
    too_little = ", by too little of it" if row["too_little"] else ""
    return Card(
        feature,
        feature_reads.title(study, int(row["feature"])),
        href=session.href("feature", study, feature=feature),
        note=f"#{row['feature']}",
        subtitle=f"{row['push']:.2f} logits{too_little}",
        pictures=heat_pictures(study, int(row["feature"]), TOP_IMAGES),
    )


# Which classes the probe confuses: a ranked list with pictures, the matrix beside it, and one confusion.


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
        load_encoder(study)  # while the reader chooses
        return
    rows = concept_reads.confused_rows(study, population, true, predicted)
    feature = None
    with left:
        if rows.size:
            feature = confused_images(study, population, rows, true, predicted)
        else:
            _never(pairs, true, predicted)
    if rows.size:
        correct_under(study, population, feature, true, predicted)
        features_behind(study, population, true, predicted)


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
    session.set_url(UNDER, None)


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
            on_open=lambda pair: _choose_both(*by_id[pair]),
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

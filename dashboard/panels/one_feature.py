"""One feature: its name and sentence, its charts, and the images on which it fires."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import one_feature as figures
from core.charts.one_feature import class_shares
from core.charts.sentences import feature_sentence
from core.charts.shown_names import shortened
from core.charts.table_file import file_stem
from core.common.captions import cut_text, split_images, with_class_names
from core.common.dataframes import numbers, words
from core.common.formatting import counted, formatted
from core.common.records import Templates
from core.measures.slice import Slice
from core.measures.slice_comparison import train_images
from core.measures.slice_features import at_levels, firing_class, partly_labelled
from core.store import Study
from core.study.missing import nothing
from core.study.overlay_image import OverlayStyle
from dashboard.cache import feature_reads, heatmap_reads, reads, slice_reads
from dashboard.cache.feature_reads import Listing
from dashboard.components import widgets
from dashboard.components.chart import chart, with_menu
from dashboard.components.chart_menu import Drawing, page_sheet, print_problem
from dashboard.components.choose_one import choose_one
from dashboard.components.job_follower import why_not
from dashboard.components.page_link import link
from dashboard.panels import feature_list, further_steps, traces, without_features, word_evidence
from dashboard.panels.feature_cards import VERDICTS, others_name, population_name, title_and_note
from dashboard.panels.heat_words import heat_on_masks, heat_rows
from dashboard.state import served_studies, session
from dashboard.state.overlay_images import overlay_urls
from dashboard.state.pages import PAGES

# What the page of a feature says above its pictures: its name, a sentence, and the way to the next one.


_say = Templates.beside(__file__)
NEEDED = {
    "features": "The table of features",
    "row_stats": "The means of the representations",
    **dict.fromkeys(
        (
            "firing_by_feature_ptr",
            "firing_by_feature_rows",
            "firing_count",
            "firing_features",
            "firing_excess",
        ),
        "The sets of firing features",
    ),
}
FEWEST_IMAGES = 8  # train images on which it fires, below which no band is said to mean something
MOST_OTHERS = 3  # features whose heat lies elsewhere, that are named
LONGEST_NAME = 68  # letters: two lines beside the buttons at 1280 px
COLOURS: dict[str, Literal["green", "orange", "gray"]] = {"good": "green", "bad": "orange", "quiet": "gray"}


def file_of(study: Study, feature: int, part: str) -> str:
    """What files of a part of the page of a feature are called: they stand beside those of other features."""
    return f"{study.feature_kind.lower()}-{feature}_{part}"


def ready(study: Study) -> bool:
    """True when the study holds its features and the images on which each fires; else says what to run."""
    for item, what in NEEDED.items():
        if not study.has(item):
            session.url_text("feature")  # no part of the link is unknown
            widgets.page_header("Features", PAGES["features"].question)
            return widgets.needs(study, item, what)
    return True


def chosen_feature(features: pd.DataFrame, n_features: int) -> int:
    """The feature of the address; without one, or with one that is not there, the first of the list."""
    feature = session.url_int("feature", below=n_features, what="feature")
    if feature is None:
        feature = int(features["feature"].iat[0]) if len(features) else 0
        session.set_url("feature", feature)
    return feature


def header(
    study: Study,
    population: Slice,
    row: dict[str, Any],
    asked: Listing,
    features: pd.DataFrame,
    of_page: Sequence[Drawing],
) -> None:
    """Draw the name, on its right the steps along the list that led here.

    Args:
        row: of `feature_reads.listed`. asked, features: the list, and its rows. of_page: what the page
            shows, for its file; filled after the header.
    """
    title, note = title_and_note(study, row)
    verdict, tone = VERDICTS.get(row["verdict"], ("", "quiet"))
    with st.container(gap=None, key="feature_header"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            with st.container(
                horizontal=True,
                vertical_alignment="center",
                gap="small",
                width="content",
                key="feature_title",
            ):
                number = f" :gray[{widgets.plain(note.partition(' ')[0])}]" if row["name"] else ""
                short = cut_text(title, LONGEST_NAME)
                whole = widgets.plain(title) if short != title else None
                st.title(f"{widgets.plain(short)}{number}", width="content", help=whole)
                traces.of_feature(study, row["feature"])
                _page_button(study, population, row, of_page)
            _steps(study, row["feature"], asked, features)
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="feature_sentence"):
            if source := reads.named_from(study).get(int(row["feature"])):
                st.badge(f"words: {source}", color="gray", help=widgets.help_text("named_from"))
            if verdict:
                st.badge(verdict, color=COLOURS[tone], help=widgets.help_text("feature_verdict"))
            st.caption(widgets.plain(sentence(study, population, row)))
        if disputed := _disputed(study, row["feature"]):
            st.caption(widgets.plain(disputed))
        if latent := reads.latent_sentence(study, row["feature"]):
            st.caption(widgets.plain(latent))
        traces.note_of_feature(study, row["feature"])


def _disputed(study: Study, feature: int) -> str:
    """That its heat and its word differ, where they do."""
    if not (against := feature_reads.disputed(study).get(int(feature))):
        return ""
    word, others = against
    return _say("disputed", what=word, names=tuple(f"#{one}" for one in others[:MOST_OTHERS]))


def page_text(study: Study, population: Slice, row: dict[str, Any]) -> str:
    """What the page says of a feature, a line each: how often it fires, where its heat lies, what its name is
    worth, and whether it harms.
    """
    feature = int(row["feature"])
    lines = [
        f"{served_studies.name_of(study)}: {sentence(study, population, row)}",
        _heat_text(study, feature, row["verdict"]),
        _disputed(study, feature),
        reads.latent_sentence(study, feature),
        *word_evidence.words_text(study, feature),
        without_features.harm_text(study, feature, population),
    ]
    return "\n".join(line for line in lines if line)


def _page_button(study: Study, population: Slice, row: dict[str, Any], of_page: Sequence[Drawing]) -> None:
    """A button that saves what the page says and its pictures and charts as one PDF."""
    title, note = title_and_note(study, row)
    name = f"{title} {note.partition(' ')[0]}" if row["name"] else title
    stem = file_stem([served_studies.name_of(study)], file_of(study, row["feature"], "page"), population)
    problem = print_problem()
    st.download_button(
        "PDF",
        data=lambda: page_sheet(of_page, name, page_text(study, population, row)),
        file_name=f"{stem}.pdf",
        mime="application/pdf",
        key="feature_page_pdf",
        type="tertiary",
        icon=":material/picture_as_pdf:",
        help=problem or _say("page_pdf"),
        on_click="ignore",
        disabled=problem is not None,
    )
    why_not(problem)


def _steps(study: Study, feature: int, asked: Listing, features: pd.DataFrame) -> None:
    numbers_in_order = features["feature"].tolist()
    at = numbers_in_order.index(feature) if feature in numbers_in_order else None
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", width="content", key="feature_steps"
    ):
        position = "not in this list" if at is None else f"{at + 1:,} of {len(features):,}"
        link("features", "All features", study, icon="apps", **feature_list.widgets_query(asked))
        st.caption(position, width="content")
        for label, icon, step in (("Previous", "arrow_back", -1), ("Next", "arrow_forward", 1)):
            to = None if at is None else at + step
            target = numbers_in_order[to] if to is not None and 0 <= to < len(numbers_in_order) else None
            what = None if target is None else _called(study, target)
            icon_name = f":material/{icon}:"
            st.button(
                label,
                icon=icon_name,
                key=f"feature_{label.lower()}",
                disabled=target is None,
                on_click=session.set_url,
                args=("feature", target),
                help=what,
            )


def _called(study: Study, feature: int) -> str:
    words = feature_reads.names(study).get(feature)
    return widgets.plain(f"{study.feature_kind} {feature}" + (f" ({words})" if words else ""))


def sentence(study: Study, population: Slice, row: dict[str, Any]) -> str:
    """Say how often the feature fires on the images of a filter, and on what."""
    rate = row["rate"]
    name = population_name(population)
    if widgets.undefined(rate):
        return _say("no_image")
    if not name:
        images = split_images(population.split)
        classes = firing.images if (firing := row["firing_class"]) and firing.few else row["classes"]
        called = f"{study.feature_kind} {row['feature']}"
        n_train = feature_reads.n_train_images(study)[row["feature"]]
        if n_train < FEWEST_IMAGES and rate > 0:
            of = classes.removeprefix("fires on ")
            return _say("fires_on_few", what=called, value=rate, names=(images, of), n=int(n_train))
        return feature_sentence(called, 100 * rate, row["tail"], classes, images=images)
    n = slice_reads.count(study, population)
    kind, q = "fires_on_both", row["q"]
    if widgets.undefined(row["rate_against"]):
        kind = "fires"
    elif not widgets.undefined(q):
        kind = "fires_hardly_by_chance" if q < 0.05 else "fires_perhaps_by_chance"
    names = name, others_name(population)
    return _say(kind, n=round(rate * n), of=n, names=names, value=rate, chance=row["rate_against"])


def shares_by_class(study: Study, feature: int, population: Slice) -> pd.DataFrame | None:
    """See `class_shares`, over all classes of a filter's images, also those that it leaves out by name."""
    if not (study.labelled and study.has("firing_by_feature_ptr")):
        return None
    counts, sizes = feature_reads.class_firing(study, feature_reads.every_class(population))
    return class_shares(counts[feature], sizes, list(study.class_names))


def rows_of(features: pd.DataFrame, feature: int) -> dict[str, Any]:
    """The row of a feature in `feature_reads.listed` as a dict."""
    at = int(np.flatnonzero(numbers(features, "feature") == feature)[0])
    return features.iloc[at].to_dict()


# Charts of a single feature: its classes, its activations, the probe's weights, object and background.


def has_classes(study: Study, feature: int, population: Slice) -> bool:
    """Whether a bar for each class tells something: it fires on several images of a class, or none can."""
    shares = shares_by_class(study, feature, population)
    return shares is None or bool(numbers(shares, "fires").max(initial=0) > 1)


def classes_chart(study: Study, feature: int, tail: str, population: Slice) -> None:
    """On which classes of the filter's images it fires; those that the filter names stand out."""
    shares = shares_by_class(study, feature, population)
    st.header(_classes_title(study, shares, population), help=widgets.help_text("slice_rate"))
    if shares is None:
        widgets.empty_state("No classes", nothing("no_labels"))
        return
    images = split_images(population.split)

    bars = partial(figures.class_share_bars, shares, selected=population.labels, images=images)
    alt = f"Classes of the {images} on which {study.feature_kind} {feature} fires"
    file = file_of(study, feature, "classes")
    with_images = shares.loc[numbers(shares, "images") > 0].reset_index(drop=True)
    chart(
        study,
        "feature_classes",
        lambda theme: bars(colour=theme.tail(tail), theme=theme),
        feature,
        population,
        alt=alt,
        data=with_images,
        file=file,
    )


def _classes_title(study: Study, shares: pd.DataFrame | None, population: Slice) -> str:
    """The finding: the class of most of its images, and how many are of the class of the filter."""
    fires = numbers(shares, "fires").astype(int) if shares is not None else np.zeros(0, int)
    if shares is None:
        return "Classes it fires on"
    firing = firing_class(fires, words(shares, "class"), partly=partly_labelled(study))
    if firing is None:
        return "Classes it fires on"
    title = replace(firing, name=_short(firing.name)).clause
    if len(population.labels) == 1 and population.labels[0] != firing.name:
        n = int(fires[shares["class"] == population.labels[0]].sum())
        title += f"; {n or 'none'} {'is' if n == 1 else 'are'} {_short(population.labels[0])}"
    return widgets.plain(f"{title[:1].upper()}{title[1:]}")


def _short(name: str) -> str:
    return shortened(with_class_names(name))


def activations_chart(study: Study, feature: int, tail: str, population: Slice) -> None:
    """How active it is over the train images, and where the filter's firing images stand."""
    marked = feature_reads.activations(study, feature, population)[1]
    named = population_name(replace(population, labels=tuple(map(_short, population.labels))))
    name = f"images of {named}" if named else split_images(population.split)
    n_images = int(np.count_nonzero(reads.population(study, population)[0]))
    st.header(widgets.plain(figures.activation_finding(marked, n_images, name)))
    if not widgets.needs(study, "activation_histogram", "Its histogram"):
        return
    counts = reads.vector(study, "activation_histogram")[feature]
    edges = reads.vector(study, "histogram_edges")
    threshold = reads.firing_thresholds(study)
    judged_too = bool((train_images(study) & study.is_val).any())  # by an answer that was not fitted to them
    bars = "images" if judged_too else "train images"
    histogram = partial(
        figures.activation_histogram,
        counts,
        edges,
        threshold=threshold,
        marked=marked,
        marked_name=f"one of the {name} on which it fires",
        height=220,
    )
    data = pd.DataFrame({"left": edges[:-1], "right": edges[1:], "images": counts})
    of_ticks = f", with a tick at each of the {name} on which it fires" if len(marked) else ""
    alt = f"Activation of {study.feature_kind} {feature} over the {bars}{of_ticks}"
    file = file_of(study, feature, "histogram")
    chart(
        study,
        "feature_histogram",
        lambda theme: histogram(colour=theme.tail(tail), theme=theme),
        feature,
        str(population),  # the filter moves the ticks; the numbers are of the bars, whatever it is
        alt=alt,
        data=data,
        file=file,
    )
    count = counted(len(marked), name.replace("images", "image", 1), name)
    ticks = f" Ticks: the {count} on which it fires." if len(marked) else ""
    st.caption(
        widgets.plain(
            f"Bars: {int(counts.sum()):,} {bars}.{ticks} Each image has its own firing threshold; "
            "the shaded band holds 90 % of them."
        )
    )


def push_chart(study: Study, feature: int, row: dict[str, Any], population: Slice) -> None:
    """Which classes the probe takes it for, with the class of most of its images, which its name uses."""
    if study.labelled and not study.has("top_images"):
        widgets.needs(study, "top_images", "What it pushes towards")
        return
    weights = feature_reads.push(study, feature)
    finite = weights.loc[np.isfinite(numbers(weights, "push"))].reset_index(drop=True)
    title = "Which classes it pushes towards"
    if len(finite):
        outputs = study.answer.facts.get("n_outputs", 0) if study.answer else 0
        among = ", of the classes here" * (outputs > len(study.class_names))  # its name is of all outputs
        title = f"Pushes towards {_short(words(finite, 'label')[0])}{among}"
    st.header(widgets.plain(title), help=widgets.help_text("class_push"))
    if not study.labelled:
        widgets.empty_state("No probe", nothing("no_labels"))
        return
    if not widgets.needs(study, "probe_weights", "The weights of the classifier"):
        return
    labels = population.labels
    of_its_images = (firing.name,) if (firing := row["firing_class"]) else ()
    alt = f"What {study.feature_kind} {feature} adds to the logit of each class, against the average class"
    file = file_of(study, feature, "push")
    chart(
        study,
        "feature_push",
        lambda theme: figures.push_bars(weights, selected=labels, also=of_its_images, theme=theme),
        feature,
        of_its_images,
        labels,
        alt=alt,
        data=weights,
        file=file,
    )
    if len(finite):
        st.caption(
            "Its weight for each class against the average class: it can fire on one and push to another."
        )


def heat_chart(study: Study, feature: int) -> None:
    """Whether it looks at the object or at the background."""
    rows = heat_rows(study, feature)
    st.header(figures.heat_finding(rows), help=widgets.help_text("feature_heat"))
    if further_steps.briefly_explained(study) or not widgets.needs(
        study, "overlap_by_feature", "The overlap of single features"
    ):
        return
    if rows.empty:
        st.caption("It fires on no image that has a mask and a stored heatmap.")
        return
    alt = f"Heat of {study.feature_kind} {feature} on both masks, against a uniform heatmap"
    file = file_of(study, feature, "heat")
    chart(
        study,
        "feature_heat",
        lambda theme: figures.heat_lifts(rows, theme=theme),
        feature,
        alt=alt,
        data=rows,
        file=file,
    )
    st.caption(heat_on_masks(rows))
    if keywords := "; ".join(dict.fromkeys(filter(None, words(rows, "keywords")))):
        st.caption(widgets.plain(f"What people call it: {keywords}"))


def _heat_text(study: Study, feature: int, verdict: str) -> str:
    """The verdict of the page on where its heat lies, and the numbers behind it; "" without masks."""
    rows = heat_rows(study, feature)
    if rows.empty or verdict not in VERDICTS:
        return ""
    return _say("heat_verdict", what=VERDICTS[verdict][0], parts=(heat_on_masks(rows),))


# The images on which a feature fires: the most and least active ones and those between, with heatmaps.


CROP, HEAT, PLAIN = LOOKS = ("Crop", "Heatmap", "Image")
TITLES = {"top": "Most active", "median": "In the middle", "lowest": "Least active"}
NAMES = {"top": "most active images", "median": "images in the middle", "lowest": "least active images"}
NUMBER = "The number on a picture is the activation there; a representation has length 1."
EACH = FEW = 6  # of fewer stored heatmaps no rows are made: all images are shown, the others without
TILE, WIDE = 84, 144  # pixels of a tile; of the only ones


def strongest_images(study: Study, feature: int, population: Slice) -> None:
    """Draw three rows of images of a filter on which a feature fires."""
    rows, values = feature_reads.activations(study, feature, population)
    stored = np.isin(rows, heatmap_reads.rows_with(study, feature))
    look, every = _choose(study, bool(stored.any()))
    if look != PLAIN and stored.sum() >= FEW:
        rows, values = rows[stored], values[stored]
    with st.container(gap="small", key="feature_images"):
        _told(study, len(stored), int(stored.sum()), look)
        badges = {int(row): formatted(value, ".2f") for row, value in zip(rows, values, strict=True)}
        alt = f"Images of {reads.feature_name(study, feature)}"
        with with_menu(
            study, "feature_pictures", population, alt=alt, file=file_of(study, feature, "pictures")
        ):
            if not len(rows):
                _largest(study, feature, population)
            elif every or len(rows) <= EACH:  # too few to make three rows of them
                key = "feature_every" if every else "feature_top"
                _gallery(study, feature, rows, badges, look, key=key, page_size=48)
            else:
                _levels(study, feature, rows, badges, look)


def _choose(study: Study, stored: bool) -> tuple[str, bool]:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.header("What it looks at", width="content", help=NUMBER)
        look = PLAIN
        if study.has("heatmap_maps"):
            look = choose_one("Pictures", LOOKS, key="feature_look", default=HEAT)
        every = st.toggle(
            "Show all", key="feature_all", bind="query-params", help="All images that make it fire"
        )
    return look if stored else PLAIN, every


@widgets.stable_container
def _told(study: Study, n: int, n_stored: int, look: str) -> None:
    """Which images are shown, where it is not all of them, or not with heatmaps."""
    if not n or not study.has("heatmap_maps"):
        return
    if not n_stored:
        st.caption("No heatmap of it is stored for these images, but an opened image can compute one.")
    elif look != PLAIN and n_stored == n <= EACH:
        st.caption(f"It fires on {'this image' if n == 1 else f'these {n:,} images'} only.")
    elif look != PLAIN and n_stored < min(n, FEW):
        st.caption(
            f"It fires on {n:,} of these images; {n_stored:,} of them {'has' if n_stored == 1 else 'have'} a "
            "stored heatmap. An opened image can compute one."
        )
    elif look != PLAIN and n_stored < n:
        st.caption(f"It fires on {n:,} of these images; shown are the {n_stored:,} with a stored heatmap.")


def _levels(study: Study, feature: int, rows: np.ndarray, badges: Mapping[int, str], look: str) -> None:
    with st.container(key="stacked_pictures"):
        columns = st.columns(3, gap="medium")
    for column, (level, some) in zip(columns, at_levels(rows, EACH).items(), strict=True):
        with column, st.container(gap="xxsmall"):
            if len(some):
                st.markdown(f"**{TITLES[level]}**")
                _gallery(
                    study,
                    feature,
                    some,
                    badges,
                    look,
                    key=f"feature_{level}",
                    page_size=EACH,
                    columns=EACH // 2,
                    label=NAMES[level],
                )


def _largest(study: Study, feature: int, population: Slice) -> None:
    """Where it never fires: the images on which it is largest all the same."""
    if not widgets.needs(study, "top_images", "The list of its strongest images"):
        return
    rows = reads.top_rows(study, feature)
    rows = rows[reads.population(study, population)[0][rows]][: 2 * EACH]
    if not len(rows):
        st.caption("It fires on none of these images.")
        return
    st.caption("It fires on none of these images. It is largest on:")
    values = heatmap_reads.activations(study, feature, rows)
    badges = {int(row): formatted(value, ".2f") for row, value in zip(rows, values, strict=True)}
    all_stored = np.isin(rows, heatmap_reads.rows_with(study, feature)).all()
    _gallery(
        study, feature, rows, badges, HEAT if all_stored else PLAIN, key="feature_largest", page_size=2 * EACH
    )


def _gallery(
    study: Study,
    feature: int,
    rows: np.ndarray,
    badges: Mapping[int, str],
    look: str,
    *,
    key: str,
    page_size: int,
    columns: int = 0,
    label: str = "",
) -> None:
    def addresses(some: list[int]) -> list[tuple[str, ...]]:
        urls = served_studies.picture_urls(study, some)
        if look != PLAIN:
            stored = set(heatmap_reads.rows_with(study, feature).tolist())
            style = OverlayStyle(features=(feature,), crop=look == CROP)
            heats = overlay_urls(study, some, [style] * len(some))
            urls = [
                heat if row in stored else plain for row, heat, plain in zip(some, heats, urls, strict=True)
            ]
        return [(address,) for address in urls]

    tile = WIDE if len(rows) <= EACH and not columns else TILE
    captions = widgets.truth_then_answer
    title = label or f"images on which {study.feature_kind} {feature} fires"
    widgets.image_gallery(
        study,
        rows,
        key=key,
        captions=captions,
        badges=badges,
        page_size=page_size,
        tile=tile,
        columns=columns,
        label=title,
        pictures=addresses,
        names=(look,),
    )

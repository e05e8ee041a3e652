"""The pictures of the view Compare: images that changed sides, figures and features side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import class_representations
from core.charts.miou import MIOU
from core.charts.options import FigureOptions
from core.common.formatting import counted
from core.common.records import Templates
from core.compare.answers import alone_right, answers_finding
from core.compare.compare import Comparison
from core.compare.features import LEAST
from core.compare.images import GAINED, LOST, RIGHT, WRONG
from core.measures.slice import Slice
from core.measures.slice_comparison import with_split
from core.store import Study
from core.study.overlay_image import OverlayStyle
from dashboard.cache import comparison_reads, image_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import show_chart, with_menu
from dashboard.components.choose_one import choose_one, feature_number
from dashboard.panels import feature_cards, heatmaps
from dashboard.state import served_studies, session
from dashboard.state.overlay_images import overlay_urls

# The pictures of the view Compare: images that changed sides, and the paper's figures side by side.


_say = Templates.beside(__file__)
FRAMES = 12  # pictures and heatmaps on a page of the gallery, in two rows
TOP = 6
PARTS_OF_LINK = ("compare_figure", "compare_feature")
FIGURES = ("Overlap with masks", "Mean representations", "One feature")


@widgets.stable_container
def changed_sides(comparison: Comparison, other: str) -> None:
    """Images that one study or answer gets right and the other wrong, with the heatmaps of both."""
    first, n = comparison.names[0], comparison.side_counts(other)
    if not sum(n.values()):
        st.caption("No image has an answer in both studies, so their features are compared.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="compare_controls"):
        of_studies = {first: n[LOST], other: n[GAINED]}
        title = answers_finding(comparison) if comparison.pair else alone_right(of_studies)
        sides = {f"Only {other} right": GAINED, f"Only {first} right": LOST, "Neither right": WRONG}
        st.header(widgets.plain(title), anchor=False, width="content")
        default = next((name for name, side in sides.items() if n[side]), next(iter(sides)))
        side = choose_one("Which images", sides, key="compare_side", default=default)
    moved = comparison.changed(other, sides[side])
    if len(moved):
        study = comparison.shared.studies[0]
        beside = comparison.shared.studies[comparison.names.index(other)]
        with with_menu(study, "compare_changed", beside, comparison.among, alt=f"Images: {side}"):
            _gallery(comparison, other, moved)
    else:
        st.caption("There is no such image.")
    both = f"{n[RIGHT]:,} images are right in both, {n[WRONG]:,} wrong in both."
    st.caption(f"{both}{_order_said(comparison, other)}", help=_heats_said(comparison, other, moved) or None)


def _gallery(comparison: Comparison, other: str, moved: pd.DataFrame) -> None:
    study = comparison.shared.studies[0]
    with_heat = _with_heat(comparison, other)
    names = ("Image", *(f"Heatmap in {comparison.names[at]}" for at in with_heat))
    lines = {int(row["row"]): _lines(row, comparison, other) for row in moved.to_dict("records")}

    def addresses(rows: list[int]) -> list[tuple[str, ...]]:
        sources = [served_studies.picture_urls(study, rows)]
        for at in with_heat:
            sources.append(
                _overlays(comparison.shared.studies[at], comparison_reads.rows_in(comparison, at, rows))
            )
        return list(zip(*sources, strict=True))

    widgets.image_gallery(
        study,
        moved["row"].to_numpy(np.int64),
        key="compare_gallery",
        captions=lines,
        page_size=FRAMES // len(names),
        columns=FRAMES // len(names) // 2,
        label="images",
        pictures=addresses,
        names=names,
        marked=False,
    )


def _with_heat(comparison: Comparison, other: str) -> list[int]:
    """Which of the two studies hold heatmaps, by their number."""
    heats = [study.has("heatmap_maps") for study in comparison.shared.studies]
    if comparison.pair:  # the heatmaps are of the representation, not of an answer
        return [0] if heats[0] else []
    return [at for at in (0, comparison.names.index(other)) if heats[at]]


def _order_said(comparison: Comparison, other: str) -> str:
    """Which study's heatmap stands first."""
    if comparison.pair:
        return ""
    names = [widgets.plain(comparison.names[at]) for at in _with_heat(comparison, other)]
    return f" Heatmaps: {', then '.join(names)}." if len(names) > 1 else ""


def _heats_said(comparison: Comparison, other: str, moved: pd.DataFrame) -> str:
    if not _with_heat(comparison, other):
        return ""
    line = "The heatmaps show where the discriminative features that fire on an image look."
    if (moved[["q_before", "q_after"]].to_numpy(float) == 0).any():
        line += (
            " Where Q is 0 none of them fires, and the heatmap is that of the strongest one; it may be dark."
        )
    return line


def _overlays(study: Study, rows: list[int]) -> list[str]:
    """Addresses of overlays; empty where the study does not hold the map."""
    urls = overlay_urls(study, rows, [OverlayStyle()] * len(rows))
    stored = image_reads.stored_set(study)
    return [url if row in stored else "" for url, row in zip(urls, rows, strict=True)]


def _lines(row: Mapping[str, Any], comparison: Comparison, other: str) -> tuple[str, str]:
    """What each study or answer says of the image, with its confidence and Q."""
    names = dict.fromkeys(row[name] for name in ("label", "label_after") if not widgets.undefined(row[name]))
    label = f"{', then '.join(map(str, names))}: " if names else ""
    with_q = comparison.pair is None  # two answers of a study have the same Q
    before, after = (_answer(row, when, with_q=with_q) for when in ("before", "after"))
    return f"{label}{comparison.names[0]} {before}", f"{other} {after}"


def _answer(row: Mapping[str, Any], when: str, *, with_q: bool) -> str:
    """
    >>> row = {"predicted_after": "dog", "confidence_after": 0.61, "q_after": 0.1324}
    >>> _answer(row, "after", with_q=True)
    'dog 61 %, Q 0.132'
    """
    confidence, q = row[f"confidence_{when}"], row[f"q_{when}"]
    sure = "" if widgets.undefined(confidence) else f" {100 * confidence:.0f} %"
    score = f", Q {q:.3f}" if with_q and not widgets.undefined(q) else ""
    return f"{row[f'predicted_{when}']}{sure}{score}"


@widgets.stable_container
def paper_figures(comparison: Comparison) -> None:
    """Figures that the paper draws before and after: 7, 3 and A.10."""
    figure = choose_one("Figure", FIGURES, key="compare_figure")
    if figure == FIGURES[1]:
        _representations(comparison)
    elif figure == FIGURES[2]:
        _one_feature(comparison)
    else:
        _overlap(comparison)


def _overlap(comparison: Comparison) -> None:
    with_overlap = {
        name: study
        for name, study in zip(comparison.names, comparison.shared.studies, strict=True)
        if study.has("overlap_summary")
    }
    if not with_overlap:
        widgets.needs(comparison.shared.studies[0], "overlap_summary", "The overlap with masks")
        return
    first, *others = with_overlap.values()
    show_chart(first, MIOU, name="compare_miou", others=others)


def _representations(comparison: Comparison) -> None:
    """Kalibhat 2024, Fig. 3 of each study: its own strongest discriminative features, on the same classes."""
    with_means = [study for study in comparison.shared.studies if study.has("class_means_correct")]
    if not with_means:
        widgets.needs(comparison.shared.studies[0], "class_means_correct", "The comparison of the two groups")
        return
    names = with_means[0].class_names
    classes = {
        names[number]
        for number in class_representations.choose_classes(
            reads.vector(with_means[0], "group_counts"), most=8
        )
    }
    st.caption(
        "Mean activation of features on correct and on misclassified images of the same classes. Each study "
        "is shown by its own strongest discriminative features: those of different encoders are not related."
    )
    for column, study in zip(st.columns(len(with_means), gap="large"), with_means, strict=True):
        numbers_of = np.array([at for at, name in enumerate(study.class_names) if name in classes], np.int64)
        features = class_representations.choose_features(
            reads.vector(study, "class_means"), reads.discriminative(study), numbers_of, fewest=12
        )
        name = comparison.names[comparison.shared.studies.index(study)]
        with column:
            st.markdown(f"**{widgets.plain(name)}**")
            show_chart(
                study,
                class_representations.CLASS_REPRESENTATIONS,
                FigureOptions(
                    classes=tuple(study.class_names[at] for at in numbers_of),
                    features=tuple(int(feature) for feature in features),
                ),
                name=f"compare_fig3_{comparison.names.index(name)}",
            )


def _one_feature(comparison: Comparison) -> None:
    """Kalibhat 2024, A.10: the top images of one feature number, with its heatmap, in each study."""
    named = [(name, study) for name, study in zip(comparison.names, comparison.shared.studies, strict=True)
            if study.has("top_images")]  # fmt: skip
    if not named:
        widgets.needs(comparison.shared.studies[0], "top_images", "The collection of features")
        return
    n = min(len(reads.table(study, "features", ("feature",))) for _, study in named)
    feature = feature_number("Feature number", n, key="compare_feature", width=170)
    st.caption(
        "The images on which the feature is largest. A number means the same feature only where one encoder "
        "was trained on from the other."
    )
    for column, (name, study) in zip(st.columns(len(named), gap="large"), named, strict=True):
        with column:
            st.markdown(f"**{widgets.plain(name)}**: {widgets.plain(reads.feature_name(study, feature))}")
            _feature_gallery(comparison, comparison.names.index(name), study, feature)


def _feature_gallery(comparison: Comparison, number: int, study: Study, feature: int) -> None:
    """The images on which a feature of one study is largest; a click opens the image in the first study."""
    first = comparison.shared.studies[0]
    rows = reads.top_rows(study, feature, limit=TOP)
    with_heat = study.has("heatmap_maps")

    def opened(row: int) -> None:
        session.open_image(first, first.row_of(study.column("images", "image_id").iat[row]))

    label = f"images of {study.feature_kind} {feature} in {comparison.names[number]}"
    with with_menu(study, f"compare_top_{number}", alt=f"{label[:1].upper()}{label[1:]}"):
        heatmaps.heatmap_gallery(
            study,
            rows[np.isin(rows, comparison.shared.rows[number])],
            OverlayStyle(features=(feature,)),
            key=f"compare_feature_{number}",
            kinds=("Original", "Overlay")[: 1 + with_heat],
            names=("Image", "Heatmap")[: 1 + with_heat],
            label=label,
            on_open=opened,
        )


# Features that one study has and the other lacks, in pictures.


EACH = 6  # features on either side, a page


@widgets.stable_container
def gained_and_lost(comparison: Comparison, other: str) -> None:
    """Discriminative features of the other study that the first one has nothing like, and the other way."""
    number = comparison.names.index(other)
    if comparison.pair or not all(study.has("features") for study in comparison.shared.studies):
        return
    if int(comparison.shared.judged.sum()) < LEAST:
        st.caption(f"Which features either study lacks is told by {LEAST} evaluation images or more.")
        return
    studies, among = tuple(comparison.shared.studies), comparison.among
    gained = comparison_reads.lone_features(studies, among, number, 0)
    lost = comparison_reads.lone_features(studies, among, 0, number)
    of_names = ((other, len(gained)), (comparison.names[0], len(lost)))
    counts = tuple(_say("of_study", what=name, n=n) for name, n in of_names)
    st.header(
        widgets.plain(_say("alone", n=len(gained) + len(lost), parts=counts)),
        anchor=False,
        help=widgets.help_text("lone_features"),
    )
    tables, which = (gained, lost), "Only in {}, unlike any of {}"
    if gained.empty and lost.empty:
        tables, which = _least_alike(studies, among, number), "Of {}, the least like any of {}"
        if all(table.empty for table in tables):
            st.caption(f"No discriminative feature fires on {LEAST} of these images or more.")
            return
    names = comparison.names[0], other
    for column, table, at in zip(st.columns(2, gap="medium"), tables, (number, 0), strict=True):
        with column:
            only, than = (names[1], names[0]) if at else names
            st.caption(which.format(widgets.plain(only), widgets.plain(than)))
            _cards(comparison, at, table, than)


def _least_alike(studies: tuple[Study, ...], among: Slice, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Where no feature is of one study alone, those of either study that are least alike."""
    tables = [
        comparison_reads.lone_features(studies, among, one, other, np.inf)
        .sort_values("likeness", kind="stable")
        .head(EACH)
        for one, other in ((number, 0), (0, number))
    ]
    return tables[0], tables[1]


def _cards(comparison: Comparison, number: int, table: pd.DataFrame, than: str) -> None:
    study = comparison.shared.studies[number]
    key, label = f"compare_lone_{'gained' if number else 'lost'}", "features that only one of the studies has"
    slot = st.container()
    table = table.iloc[widgets.page_span(len(table), EACH, key=f"{key}_page")]
    lines = {
        feature: f"fires on {counted(n, 'image')}; most alike in {than}: #{closest}, "
        f"{widgets.percent(likeness, digits=0)} of the images shared"
        for feature, n, closest, likeness in table.itertuples(index=False)
    }
    with slot:
        if not lines:
            st.caption("None.")
            return
        feature_cards.with_lines(study, with_split(study, Slice()), lines, key=key, label=label, width=150)

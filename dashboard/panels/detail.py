"""One image, opened from anywhere: its picture, verdict, scores and features, and images like it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.answers.answer import CROSSFIT
from core.common.captions import SPLITS, cut_text, headline, split_images, with_class_names
from core.common.formatting import ordinal
from core.common.records import Record, Templates
from core.common.score_names import score_label
from core.errors import FORESEEN, user_message
from core.measures.corrected_accuracy import outcome_after_all
from core.store import Study
from core.study.label_decisions import label_words
from core.study.traces import UNSURE
from dashboard.cache import comparison_reads, image_filter, label_reads, reads, score_reads, search_reads
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one, select_one
from dashboard.components.gallery import Tile, gallery
from dashboard.components.page_behaviour import image_keys
from dashboard.components.page_link import link
from dashboard.panels import causes, label_desk, research, search_box
from dashboard.panels import heatmaps as image_heatmap
from dashboard.state import served_studies, session

# One image, opened from anywhere: the picture, the verdict on it, its scores, features and neighbours.


PARTS = FACTS, HEATMAP = ("Facts", "Heatmap")
FEATURES_SHOWN = 3
MOST_FEATURES = 40
TOP_IMAGES = 6
OPTIMISTIC = "The classifier was trained on this very image, so its answer here is no evidence."
LONGEST_CAPTION = 300  # characters
# Streamlit sets a dialog's own title once, and the arrow keys go on to other images: it stays for screen
# readers, and the headline of the image stands in its place.
TITLED = "detail_titled"


def show_opened(study: Study) -> None:
    """Open the dialog when the URL names an image; `main.py` calls this after every view."""
    if session.opened_image(study) is not None:
        _dialog(study)


@st.dialog("Image", width="large", on_dismiss=session.close_image)
def _dialog(study: Study) -> None:
    key = study.key
    try:
        _opened(study)
    except FORESEEN as error:  # a dialog's errors do not come to `main`
        if study.key != key:  # a file turned out to be damaged, and was set aside
            st.rerun()
        st.error(widgets.plain(user_message(error, again="open the image again")), icon=":material/error:")


def _opened(study: Study) -> None:
    opened = session.opened_image(study, *image_filter.lists_of_page(study))
    if opened is None:
        st.rerun()
    facts = reads.image_facts(study, opened.row)
    with st.container(key=TITLED):
        st.header(widgets.plain(headline(facts)), anchor=False)
    walk(study, opened)
    trained_on(study, opened.row, facts)
    if choose_one("Part", PARTS, key="detail_part") == HEATMAP:
        image_heatmap.heatmap_part(study, opened.row, facts, verdict)
    else:
        _facts(study, opened.row, facts)


def _facts(study: Study, row: int, facts: dict[str, Any]) -> None:
    left, right = st.columns([5, 6], gap="medium")
    with left:
        _picture(study, row, facts)
    with right:
        verdict(study, facts)
        label_desk.label_doubt(study, row, facts)
        causes.known_reasons(study, row, facts)
        _first_score(study, row, facts)
        _features(study, row)
    similar_images(study, row)
    neighbours(study, row)


def walk(study: Study, opened: session.OpenedImage) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, row, shortcut, icon in (
            ("Previous", opened.previous, "Left", ":material/chevron_left:"),
            ("Next", opened.following, "Right", ":material/chevron_right:"),
        ):
            st.button(
                label,
                icon=icon,
                shortcut=shortcut,
                key=f"detail_{label.lower()}",
                disabled=row is None,
                on_click=session.step_image,
                args=(study, row if row is not None else opened.row),
            )
        st.caption(opened.position, width="content")
        image_keys("detail_previous", "detail_next", opened.row)


def _picture(study: Study, row: int, facts: dict[str, Any]) -> None:
    name, address = widgets.image_name(facts), served_studies.picture_url(study, row, "image")
    gallery([Tile(id=row, src=address, alt=name)], key="detail_picture", label=name, tile=420, zoom=True)
    st.caption(widgets.plain(facts["image_id"]))
    caption_line(study, facts)
    image = {session.IMAGE: str(facts["image_id"])}
    link("image", "Open the page of this image", study, icon="open_in_full", **image)


def caption_line(study: Study, facts: dict[str, Any]) -> None:
    """The caption that came with the image, if there is one."""
    if text := search_reads.own_caption(study, str(facts["image_id"])):
        st.caption(f"Caption: {widgets.plain(cut_text(text, LONGEST_CAPTION))}")


def verdict(study: Study, facts: dict[str, Any]) -> None:
    split = SPLITS.get(facts["split"], str(facts["split"])).lower()
    lines = []
    decision = label_reads.decided(study).get(str(facts["image_id"]), "")
    if not widgets.undefined(facts.get("label")):
        name = "Label" if decision else "True class"
        lines.append(f"{name} **{widgets.plain(label_words(str(facts['label']), decision))}**")
    if not widgets.undefined(facts.get("predicted")):
        has_confidence = not widgets.undefined(facts.get("confidence"))
        share = f" (confidence {widgets.percent(facts['confidence'])})" if has_confidence else ""
        lines.append(f"Classifier says **{widgets.plain(facts['predicted'])}**{share}")
    lines.append(f"From the {split} split")
    st.markdown("  \n".join(lines))
    if not widgets.undefined(facts.get("correct")):
        if facts["correct"]:
            st.badge("classified correctly", icon=":material/check:", color="blue")
        else:
            st.badge("misclassified", icon=":material/close:", color="orange")
        label, predicted = str(facts["label"]), str(facts["predicted"])
        if after_all := outcome_after_all(bool(facts["correct"]), label, predicted, decision):
            st.caption(after_all)


@widgets.stable_container
def trained_on(study: Study, row: int, facts: dict[str, Any]) -> None:
    """Where the answer was trained on the image: that it is no evidence, and what one says that was not."""
    is_trained = facts["split"] == "train" and study.is_fitted
    if widgets.undefined(facts.get("predicted")) or not is_trained:
        return
    text = OPTIMISTIC
    if study.has("answer_crossfit"):
        other = reads.image_facts(study.answering(CROSSFIT), row)
        if not widgets.undefined(other.get("predicted")):
            share = widgets.percent(other["confidence"], digits=0)
            text += f" Models that had not seen it answer **{widgets.plain(other['predicted'])}**, {share}."
    st.caption(text)


def _first_score(study: Study, row: int, facts: dict[str, Any]) -> None:
    """The score that Predicting errors opens with; the others are folded."""
    if reads.scores(study):
        score = score_reads.picked_first(study)
        share = reads.percentile(study, score, row)
        if not widgets.undefined(share):
            split = split_images(facts["split"])
            name, value = score_label(score), reads.images(study)[score].iat[row]
            st.markdown(
                f"{name} **{value:.3g}**, {ordinal(round(share))} percentile of the {split}",
                help="The lower it is, the likelier the image is to be misclassified.",
            )
        title = "All scores of this image"
        with st.expander(title, icon=":material/table:", key="detail_scores", on_change="rerun") as opened:
            if opened.open:
                scores(study, row)
    else:
        scores(study, row)


def scores(study: Study, row: int) -> None:
    images, columns = reads.images(study), reads.scores(study)
    if not columns:
        widgets.needs(study, "quality", "Scores of this image")
        return
    table = pd.DataFrame(
        {
            "Score": [score_label(column) for column in columns],
            "Value": [images[column].iat[row] for column in columns],
            "Percentile": [reads.percentile(study, column, row) for column in columns],
        }
    ).dropna(subset="Value")
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        alt="Scores of this image, each with its percentile in its split",
        column_config={
            "Value": st.column_config.NumberColumn(format="%.4g", width="small"),
            "Percentile": st.column_config.ProgressColumn(
                format="%.0f", min_value=0, max_value=100, help=widgets.help_text("percentile")
            ),
        },
    )


def _features(study: Study, row: int) -> None:
    st.header("Features that fire here", help=widgets.help_text("excess"))
    if not widgets.needs(study, "firing_features", "Which features fire"):
        return
    firing = reads.firing(study, row)
    if firing.empty:
        st.caption("No feature stands out here: none exceeds the mean by epsilon standard deviations.")
        return
    kinds = np.count_nonzero(firing["discriminative"])
    n = len(firing)
    fire = "1 feature fires" if n == 1 else f"{n:,} features fire"
    first = f"Strongest first, at most {MOST_FEATURES}." if n > MOST_FEATURES else "Strongest first."
    st.caption(f"{fire}, {kinds} of them discriminative. {first}")
    limit = n if st.toggle("Show all", key="detail_all_features", bind="query-params") else FEATURES_SHOWN
    listed = firing.head(min(limit, MOST_FEATURES)).to_dict("records")
    for feature in listed:
        _feature(study, row, feature)


def _feature(study: Study, row: int, feature: dict) -> None:
    number = int(feature["feature"])
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            link("feature", f"**{widgets.plain(feature['name'])}**", study, feature=str(number))
            colour = (
                "green" if feature["discriminative"] else "violet" if feature["tail"] == "upper" else "gray"
            )
            rare = {"upper": "fires more often than most", "lower": "fires less often than most"}
            st.badge(rare.get(feature["tail"], "discriminative"), color=colour)
            st.caption(_feature_words(study, feature), width="content")
        rows = [other for other in reads.top_rows(study, number) if other != row][:TOP_IMAGES]
        widgets.image_gallery(
            study,
            rows,
            key=f"detail_feature_{number}",
            captions={int(one): () for one in rows},
            tile=72,
            label=f"images on which {feature['name']} is largest",
            on_open=lambda other: session.step_image(study, other),
        )


def _feature_words(study: Study, feature: dict) -> str:
    """How active it is here, and where it fires: the classes as on its card, else the share of images."""
    fires = reads.where_it_fires(study, int(feature["feature"]))
    fires = fires or _say("fires_on_train", value=feature["activation_rate"] / 100)
    return _say("above_mean", value=feature["excess"], what=widgets.plain(fires))


def neighbours(study: Study, row: int) -> None:
    """The nearest train images; nothing where the split leaves none to compare with."""
    if not study.has("neighbours") and study.why_skipped("neighbours"):
        return
    st.header("Nearest train images", help=widgets.help_text("similarity"))
    near = reads.neighbours(study, row)
    if near.empty:
        if not study.has("neighbours"):
            widgets.needs(study, "neighbours", "Nearest images")
        else:
            st.caption("Neighbours are computed for evaluation images only.")
        return
    rows, cosines = near["row"].to_numpy(), near["similarity"].to_numpy()
    widgets.nearest_gallery(study, rows, cosines, key="detail_neighbours", label="nearest train images")


# More images like an opened one: nearest in the encoder's space or in CLIP's, compared with every image.


SHOWN = 12
BESIDE, A_ROW = 8, 4  # images beside the features that push, and in a row
OTHER, NO_OTHER = "alike_other", "None"
UNLIKE_ALL = "unlike"  # kind of what is said
FAR = 0.9  # share of the evaluation images that are nearer, from which on a picture lies at the edge
UNLIKE = 0.99  # share of the evaluation images that are nearer to the study than a picture that is unlike it
NEARLY_ALL = 0.9  # share of a picture
THE_SAME = 0.9999  # cosine from which on a picture is an image of the study
_say = Templates.beside(__file__)
AT_ONCE = 1 << 27  # numbers that are compared without being asked to: a tenth of a second or two


def similar_images(study: Study, row: int) -> None:
    """The section of the dialog."""
    st.header("More like this", help=widgets.help_text("alike"))
    space = search_box.choose_space(study, "alike_space")
    if len(search_reads.spaces(study)) == 1:
        st.caption("Nearest for this encoder; also for CLIP, once the search on the page Images is prepared.")
    vectors = study.array(space)
    if len(vectors) * vectors.shape[1] > AT_ONCE and not st.toggle(
        f"Compare with all {len(vectors):,} images", key="alike_go", help="Reads every representation once."
    ):
        return
    rows, cosines = search_reads.alike(study, row, space, SHOWN)
    if not len(rows):
        st.caption("There is nothing to compare this image by: its representation is zero, or it is missing.")
        return
    _all_of_them(study, row, space)
    _gallery(study, row, rows, cosines, key="detail_alike", label="images most like this one")
    for show_more in research.BELOW_SIMILAR_IMAGES:
        show_more(study, row)
    _for_another_study(study, row)


def nearest(study: Study, row: int) -> None:
    """The nearest images for this encoder, where the comparison with all of them is quick."""
    vectors = study.array("representations")
    if len(vectors) * vectors.shape[1] > AT_ONCE:
        return
    rows, cosines = search_reads.alike(study, row, "representations", BESIDE)
    if len(rows):
        st.header("Nearest images for this encoder", anchor=False)
        label = "images most like this one"
        _gallery(study, row, rows, cosines, key="image_nearest", label=label, columns=A_ROW)


def _gallery(
    study: Study, row: int, rows: np.ndarray, cosines: np.ndarray, *, key: str, label: str, columns: int = 0
) -> None:
    """The found images, and how many of them are of the class of the opened one."""
    labels = pd.Series(reads.images(study)["label"])
    if words := same_class_words(labels, row, rows, _corrected(study, labels, row, rows)):
        st.caption(widgets.plain(words))
    widgets.nearest_gallery(study, rows, cosines, key=key, label=label, columns=columns)


def same_class_words(
    labels: pd.Series, row: int, rows: np.ndarray, corrected: Mapping[int, object] | None = None
) -> Record | str:
    """Precision among the shown images in words; empty without another image of its class, or where nothing
    was found.

    Args:
        labels: by row. corrected: those that people changed, by row: where they change the count, it is given
            by these, too.
    """
    nearest = [int(other) for other in rows]
    if widgets.undefined(labels.iat[row]) or not nearest or np.count_nonzero(labels == labels.iat[row]) < 2:
        return ""
    given = {one: labels.iat[one] for one in (row, *nearest)}
    after = given | {one: label for one, label in (corrected or {}).items() if one in given}
    said = _count_alike(given, row)
    if after == given or widgets.undefined(after[row]):
        return said
    return _say("as_corrected", parts=(said, _count_alike(after, row, "corrected")))


def _count_alike(labels: Mapping[int, object], row: int, kind: str = "") -> Record:
    """Count the images of the class of one of them, among the others."""
    label = str(labels[row])
    alike = [not widgets.undefined(one) and str(one) == label for at, one in labels.items() if at != row]
    n, of = sum(alike), len(alike)
    if not kind and of == 1:
        kind = "first" if n else "first_not"
    return _say(kind or ("one_of_some" if n == 1 else "some"), n=n, of=of, what=with_class_names(label))


def _corrected(study: Study, labels: pd.Series, row: int, rows: np.ndarray) -> dict[int, object]:
    """The labels of these images that people decided on; None where it is wrong without a better one."""
    decided = label_reads.decided(study)
    ids = study.column("images", "image_id")
    names = {int(one): str(ids.iat[one]) for one in (row, *rows)} if decided else {}
    found = {one: decided[name] for one, name in names.items() if name in decided}
    return {
        one: None if label == UNSURE else label for one, label in found.items() if label != labels.iat[one]
    }


def _for_another_study(study: Study, row: int) -> None:
    """The nearest images for another encoder over the same images: do its neighbours fit better?"""
    others = {
        name: other
        for name, other in comparison_reads.other_studies(study).items()
        if comparison_reads.made_of_the_same(study, other) and other.has("representations")
    }
    if not others:
        return
    choices = [NO_OTHER, *others]
    name = select_one("Nearest for another study", choices, key=OTHER, width=320, shows_label=True)
    if name not in others:
        return
    rows, cosines = search_reads.alike_elsewhere(study, others[name], row, SHOWN)
    if not len(rows):
        st.caption(f"This image has no representation in {widgets.plain(name)}.")
        return
    _gallery(study, row, rows, cosines, key="detail_alike_other", label=f"images most like this one, {name}")


def _all_of_them(study: Study, row: int, space: str) -> None:
    """A button that searches for images like this one on the page Images, within the filter."""
    words = {"like_space": search_reads.spaces(study)[space]} if space != "representations" else {}
    st.button(
        "Search for more like this",
        key="alike_search",
        icon=":material/search:",
        type="tertiary",
        help="Opens the page Images with all that are like it, within the filter",
        on_click=session.go,
        args=("images",),
        kwargs={"like": str(study.column("images", "image_id").iat[row])} | words,
    )


def in_the_study(study: Study, row: int, cosine: float, *, is_seen: bool) -> Record | str:
    """Say that a picture is an image of the study; "" where it is none.

    Args:
        row, cosine: of the image that it is most like. is_seen: the answer was fitted to that image.
    """
    if cosine <= THE_SAME:
        return ""
    name = str(study.column("images", "image_id").iat[row])
    return _say("image_seen" if is_seen else "image_of_study", what=name)


def mostly_covered(share: float) -> Record | str:
    """Warn where so much of a picture is covered that the answer is of little else; "" else."""
    return _say("covered", value=share) if share >= NEARLY_ALL else ""


def how_alike(study: Study, cosine: float) -> Record | str:
    """Say how near a picture is to its nearest train image, against evaluation images and theirs: of which
    kind, with n of the evaluation images that are further from theirs; "" for an image of the study.
    """
    nearest = reads.vector(study, "neighbour_similarity").max(1, initial=-np.inf)
    if not len(nearest) or cosine > THE_SAME:
        return ""
    n_nearer, of = int(np.count_nonzero(nearest > cosine)), len(nearest)
    # With the picture as one of them: of a single image, either is the further one as often.
    if n_nearer / (of + 1) >= UNLIKE:
        return _say(UNLIKE_ALL, value=cosine, n=n_nearer, of=of)
    if not n_nearer:
        return _say("nearest", value=cosine, of=of)
    return _say("usual" if n_nearer / of < FAR else "far", value=cosine, n=of - n_nearer, of=of)

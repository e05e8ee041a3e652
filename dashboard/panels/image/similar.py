"""More images like an opened one: nearest in the encoder's space or in CLIP's, compared with every image."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from core.common.captions import with_class_names
from core.common.records import Record, Templates
from core.store import Study
from core.traces.traces import UNSURE
from dashboard.cache import comparison_reads, label_reads, reads, search_reads
from dashboard.components import widgets
from dashboard.components.choose_one import select_one
from dashboard.panels import search_box
from dashboard.research import parts
from dashboard.state import session

SHOWN = 12
BESIDE, A_ROW = 8, 4  # images beside the features that push, and in a row
NEAREST = 4  # as many as Kalibhat's dissertation, Fig. 5.4 shows
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
    for show_more in parts.BELOW_SIMILAR_IMAGES:
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
    """The found images, and how many of the first are of the class of the opened one."""
    labels = pd.Series(reads.images(study)["label"])
    if words := same_class_words(labels, row, rows, _corrected(study, labels, row, rows)):
        st.caption(widgets.plain(words))
    widgets.nearest_gallery(study, rows, cosines, key=key, label=label, columns=columns)


def same_class_words(
    labels: pd.Series, row: int, rows: np.ndarray, corrected: Mapping[int, object] | None = None
) -> Record | str:
    """Precision at NEAREST in words; empty without another image of its class, or where nothing was found.

    Args:
        labels: by row. corrected: those that people changed, by row: where they change the count, it is given
            by these, too.
    """
    nearest = [int(other) for other in rows[:NEAREST]]
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
    names = {int(one): str(ids.iat[one]) for one in (row, *rows[:NEAREST])} if decided else {}
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
    """Say how near a picture is to its most similar image, against evaluation images and their nearest train
    image: of which kind, with n of the evaluation images that are further from theirs; "" for an image of
    the study.
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

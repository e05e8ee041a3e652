"""Errors: which images are misclassified, which classes are confused, and how two slices differ."""

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.analysis.recommendation import advise
from core.common.formatting import formatted
from core.common.records import Record
from core.common.score_names import score_in_sentence
from core.measures.label_issues import TABLE, count_sentence, decided_sentence, listed_issues, own_errors
from core.measures.slice import Slice
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import feature_reads, image_filter, reads, score_reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.choose_one import choose_one
from dashboard.components.page_link import link
from dashboard.panels import causes, confusions, label_desk, marks, remedies, slice_pair, worst_slices
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import session
from dashboard.state.pages import ANSWERED, CONFUSED, PAGES

WORST, LABELS, CAUSES, CONFUSIONS, PAIR, HELPS = TABS = (
    *("Worst slices", "Wrong labels", "Causes", "Confusions", "Compare two", remedies.TITLE),
)
TAB = "errors_tab"  # part of the URL
STAYS = (
    remedies.CHOICE,
    worst_slices.SHOWN,
    CONFUSED,
    ANSWERED,
    confusions.UNDER,
    *slice_pair.SIDES,
)  # parts of the URL
PAGE = 24  # images
LABELS_A_PAGE = 24
MOST_LISTED = 5000  # images below the desk
HELP = (
    "Five linear probes answer, each for images that it has not seen, train and evaluation. Confident "
    "learning estimates how many labels are wrong, and which. It is a list to look at, not a verdict."
)


def errors_page(study: Study, population: Slice) -> None:
    answer_slot = widgets.page_header(PAGES["errors"].title, PAGES["errors"].question)
    bar = st.container(key="errors_filter")
    judged = _why_not_judged(study, population)
    head = st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="errors_controls")
    with head:
        count = st.container(width="content")
        several = feature_reads.classes_tell(study) or judged is not None
        tab = choose_one("Part", TABS, key=TAB, default=WORST if several else CONFUSIONS)
    is_of_both = study.labelled and tab in (LABELS, HELPS)
    with bar:  # drawn once the part is certain: a session may remember another one than the link names
        filter_bar(study, image_filter.of_page() if is_of_both else population, both_splits=is_of_both)
    if not is_of_both:
        with count:
            _headline(study, population, judged)
    for name in STAYS:  # what was opened in a part is still open when the reader comes back to it
        session.url_text(name)
    if tab == PAIR:
        slice_pair.slice_comparison(study, population)
    elif tab == LABELS and study.labelled:
        likely_wrong_list(study, head, answer_slot)
    elif tab == HELPS and study.labelled:
        remedies.remedies_part(study, image_filter.of_page(), head, answer_slot)
    elif judged is not None:
        if study.has("probe") or not study.labelled or len(study.class_names) == 1:
            widgets.empty_state("No known outcomes", judged)
            if not study.labelled:
                _without_labels(study, population)
        else:
            widgets.needs(study, "probe", "Which images are classified correctly")
    elif tab == CONFUSIONS:
        confusions.confusion_matrix_part(study, population, answer_slot)
    elif tab == CAUSES:
        causes.causes_of_errors(study, population, head, answer_slot)
    else:
        worst_slices.worst_slice_list(study, population, head, answer_slot)


def _why_not_judged(study: Study, population: Slice) -> Record | None:
    """Why no image of the page is known to be classified correctly or wrongly; None where some are."""
    if not study.labelled:
        return nothing("no_labels")
    if len(study.class_names) == 1:
        return nothing("one_class")
    if skipped := study.why_skipped("probe"):
        return nothing("left_out", why=skipped)
    if not study.has("probe"):
        return nothing("no_verdicts_yet")
    headline = reads.headline(study, population)
    if not headline["n"]:
        return nothing("empty_filter")
    if not study.is_val.any():
        return reads.NONE_HELD_OUT
    return None if headline["accuracy_n"] else nothing("no_verdict")


def _without_labels(study: Study, population: Slice) -> None:
    """Where labels come from, and what can be seen without them: the images with the lowest scores."""
    st.caption("Labels come from folders named by class, or from a column of a CSV file of images.")
    if lowest := score_reads.lowest(study, population):
        score, rows = lowest
        name = score_in_sentence(score)
        best = score_reads.recommended(study, population)
        about = f"{advise(best)} The number on a picture is its score."
        st.header(f"Errors are most likely where {widgets.plain(name)} is low", anchor=False, help=about)
        values = reads.images(study)[score]
        marks.action_bar(study, rows, key="lowest_bar")
        widgets.image_gallery(
            study, rows, key="lowest", select=True, page_size=PAGE, label=f"images, lowest {name} first",
            badges={int(row): formatted(values.iat[row], ".3g") for row in rows},
        )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        link("predicting_errors", "Scores that need no labels", study, icon="speed")
        link("new_study", "New study", study, icon="add_circle")


def _headline(study: Study, population: Slice, why_not: str | None) -> None:
    """How many of the images are wrong."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
        if why_not is not None:
            return
        headline = reads.headline(study, population)
        n, wrong = int(headline["accuracy_n"]), confusions.n_errors(headline)
        what = "" if n == headline["n"] else " known to be right or wrong"
        st.header(f"{widgets.percent(wrong / n)} wrong", anchor=False, width="content")
        scope = study.accuracy_scope(n, filtered=bool(session.filter_text()))
        st.caption(f"{wrong:,} of {scope}{what}", width="content")


def likely_wrong_list(study: Study, head: DeltaGenerator, answer_slot: DeltaGenerator) -> None:
    """Draw the section, of both splits unless the filter names one.

    Args:
        head: the row of the page's headline, which takes the buttons. answer_slot: the line below the title,
            which says how many labels were checked.
    """
    if not widgets.needs(study, TABLE, "Wrong labels"):
        return
    where = image_filter.of_page()
    every = reads.label_issues(study, where)
    if every.empty:
        widgets.empty_state("No labels here", nothing("empty_filter"))
        return
    sentences = (count_sentence(every), decided_sentence(every), own_errors(every))
    answer_slot.caption(" ".join(filter(None, sentences)), help=HELP)
    with head:
        download(study, partial(listed_issues, every), where, name=TABLE)
    table = label_desk.label_desk(study, every).head(MOST_LISTED)
    if table.empty:
        widgets.empty_state("No label is listed", nothing("none_of_these", why=str(count_sentence(every))))
        return
    rows = session.rows_held(study, table["image_id"])
    suggested = dict(zip(rows, table["suggested"].astype(str), strict=True))
    marks.action_bar(study, rows, key="wrong_labels_bar", suggested=suggested)
    pairs = zip(rows, table["label"], table["suggested"], strict=True)
    captions = {row: (f"label {label}, likely {better}",) for row, label, better in pairs}
    badges = {row: f"{100 * sure:.0f} %" for row, sure in zip(rows, table["confidence"], strict=True)}
    widgets.image_gallery(
        study,
        rows,
        key="wrong_labels",
        captions=captions,
        badges=badges,
        page_size=LABELS_A_PAGE,
        select=True,
        marked=False,  # an answer that has seen a train image says nothing of its label
        label="images by how doubtful their label is",
        on_open=lambda row: label_desk.show_at_desk(study, row),
    )


errors_page(session.current_study(), image_filter.population())

"""The bases of a study: which there are, how good they are, one more, one less, and two side by side."""

import itertools

import numpy as np
import pandas as pd
import streamlit as st

from core.bases.basis import UNITS, Basis
from core.bases.kinds import KINDS
from core.common.dataframes import numbers
from core.common.formatting import counted, full_sentence, signed_interval, with_interval
from core.comparison.shared_dictionary import about_other
from core.config.bases import BASIS_KINDS
from core.errors import JobError, StudyError
from core.jobs.commands import FitBasis, RemoveBasis
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache.features import basis_reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.choose_one import choose_one, select_one
from dashboard.components.job_follower import begin, start_button
from dashboard.jobs import launcher
from dashboard.panels.jobs import study_progress
from dashboard.state import session

BASES = "Bases"  # what the page Features calls this panel
WHAT = (
    "What the features are: the numbers that the encoder computes, its units, or directions of them that a "
    "dictionary found, its latents. An image is described by few latents, so one often means one thing."
)
CONTROLS = ("random", "pca")  # kinds that a dictionary has to beat
HEADS = {
    "Basis": "",
    "R2": "Share of the variation between images that the latents reconstruct; of evaluation images, if any, "
    "which no fit has seen.",
    "Active": "L0: how many latents describe an image, on average.",
    "Dead": "Latents that are active on no image.",
    "Stability": "How nearly another fit, from another seed, found the same directions: mean |cosine|. Below "
    ".7, many latents are accidents of the seed.",
}
VECTORS = {"whole images": "pooled", "places in images": "positions"}
ABOUT_VECTORS = (
    "One vector an image, or one for each place of the encoder's last map: then the page of an image shows "
    "which latents are active where you click. The encoder has to look at every image again for that."
)
TAKE = (
    "Take a dictionary for features that can be looked at one by one: each is active on few images. "
    "Whether these have more in common than those of a unit depends on the encoder: below are the "
    "differences of this study. Where it was measured, latents of whole images knew no more of classes and "
    "attributes than units, of places a little more. Better maps and scores come mostly "
    "with random directions, too, so fit that control. Trust a latent as far as it is stable."
)
MEASURES = {  # by the head of their column
    "Average precision": "ap",
    "Negated": "inverted_ap",
    "Five": "probe_ap",
    "Purity of the top 16": "purity",
}
KNOWN_AS = {  # by the end of their columns
    "": "Means",
    "_minus_units": "Differences from the units",
    "_minus_random": "Differences from random directions",
}
WIDTHS = [5, 1.2, 1.2, 1.2, 1.4, 3]
SHOWN = 200  # pairs of latents


def panel(study: Study) -> None:
    whole = study if study.below is None else served_studies.open_current(study.below)
    if whole is not study:  # above the page stands what runs in the basis
        study_progress.banner(served_studies.Entry(served_studies.name_of(whole), whole.path))
    _list(study, whole)
    _fit(whole)
    if whole.bases:
        _twins(study, whole)


def _list(study: Study, whole: Study) -> None:
    with st.container(border=True):
        for column, (head, about) in zip(st.columns(WIDTHS), HEADS.items(), strict=False):
            column.caption(head, help=about or None)
        width = whole.array("representations").shape[1]
        here = study.path.name if study.below is not None else UNITS
        _row([f"**units of the encoder**: {width:,}", "1", "", "", ""], UNITS, here, whole)
        for basis in whole.bases.values():
            _row(_cells(basis), basis.name, here, whole)
    if text := control_sentence(list(whole.bases.values())):
        st.markdown(widgets.plain(text))
    st.caption(TAKE)
    drawer = st.expander(
        "How well each names what is known of the images", icon=":material/fact_check:", key="bases_known",
        bind="query-params",
    )  # fmt: skip
    if drawer.open:
        with drawer:
            _known(whole)


def _known(whole: Study) -> None:
    """A row a basis: how well its single features stand for classes and attributes."""
    try:
        frame = basis_reads.bases_known(whole, tuple(whole.bases))
    except StudyError as error:
        st.caption(widgets.plain(full_sentence(str(error))))
        return
    ends = [end for end in KNOWN_AS if f"ap{end}" in frame]
    shown = choose_one("Shown", [KNOWN_AS[end] for end in ends], key="bases_known_as")
    minus = next(end for end in ends if KNOWN_AS[end] == shown)
    cells = {"Basis": frame["basis"], "Features": frame["width"]}
    for title, measure in MEASURES.items():
        values = frame[[f"{measure}{minus}{end}" for end in ("", "_low", "_high")]].itertuples(index=False)
        cells[title] = [signed_interval(*one) if minus else with_interval(*one, digits=2) for one in values]
    st.dataframe(
        pd.DataFrame(cells),
        hide_index=True,
        alt="How well the features of each basis stand for known concepts",
    )
    n, chance = int(frame["n_concepts"].iat[0]), float(frame["base_rate"].iat[0])
    st.caption(
        f"Means over {counted(n, 'class or attribute', 'classes and attributes')} with their 95 % intervals. "
        "The feature is chosen on train images and judged on evaluation images; features that know nothing "
        f"reach {chance:.2f}. Negated: the feature that is active everywhere but there. Five: a regression "
        "on five features. Differences are means over the same concepts, pair by pair."
    )
    download(whole, frame, name="bases_known")


def _cells(basis: Basis) -> list[str]:
    card = basis.card
    r2 = card.get("r2") if card.get("r2_val") is None else card["r2_val"]
    role = f"  \n{KINDS[basis.kind].summary}"
    role += ", on positions" if card.get("on") == "positions" else ""
    if other := about_other(basis):
        role += f", shared with {widgets.plain(str(other.get('study') or 'another study'))}"
    return [
        f"**{widgets.plain(basis.name)}**: {card.get('size', 0):,} latents{role}",
        widgets.number(r2, digits=2),
        widgets.number(card.get("l0"), digits=1),
        widgets.percent(card.get("dead"), digits=0),
        widgets.number(card.get("stability"), digits=2) if card.get("stability") is not None else "one fit",
    ]


def _row(cells: list[str], name: str, here: str, whole: Study) -> None:
    *columns, last = st.columns(WIDTHS, vertical_alignment="center")
    for column, cell in zip(columns, cells, strict=True):
        column.markdown(cell)
    with last, st.container(horizontal=True, gap="small", horizontal_alignment="right"):
        if name == here:
            st.caption("shown now", width="content")
        else:
            st.button("Show", key=f"show_{name}", on_click=_show, args=(name,), help="Features are these")
        if name != UNITS:
            with st.popover("Remove", type="tertiary"):
                st.caption("It goes with all that was computed in it. The images and units stay.")
                st.button(
                    f"Remove {name}", key=f"remove_{name}", on_click=_remove, args=(whole, name, name == here)
                )


def control_sentence(bases: list[Basis]) -> str:
    """How much more of the images the best dictionary explains than directions that nobody learned.

    >>> control_sentence([])
    ''
    """
    fitted = {basis.name: basis for basis in bases if basis.card.get("r2") is not None}
    learned = [one for one in fitted.values() if one.kind not in CONTROLS]
    if not learned:
        return ""
    best = max(learned, key=_r2)
    alike = [one for one in fitted.values() if one.card.get("on") == best.card.get("on")]
    controls = [one for one in alike if one.kind in CONTROLS]
    if not controls:
        return (
            "No control is here yet: fit random, with as many latents and codes, to see what directions that "
            "nobody learned explain."
        )
    parts = [f"{one.name} {_r2(one):.2f} with {one.card.get('l0') or 0:.0f}" for one in controls]
    start = f"{best.name} explains R2 {_r2(best):.2f} with {best.card.get('l0') or 0:.0f} active latents"
    return f"{start}; as controls, {', '.join(parts)}."


def _r2(basis: Basis) -> float:
    held_out = basis.card.get("r2_val")
    return float(basis.card["r2"] if held_out is None else held_out)


def _fit(whole: Study) -> None:
    """The form of one more; its command is fitted by the launcher, above the page stands how far it is."""
    vectors = whole.array("representations").shape
    with st.expander("Fit another one", icon=":material/add_circle:", expanded=not whole.bases):
        columns = st.columns([2, 2.2, 2, 1.7, 1.7, 1.5], vertical_alignment="bottom", gap="small")
        with columns[0]:
            kind = select_one("Kind", BASIS_KINDS, key="basis_kind", shows_label=True)
        with columns[1]:
            on = select_one("Fitted to", list(VECTORS), key="basis_on", shows_label=True, help=ABOUT_VECTORS)
        usual = unused_name(whole, kind)
        name = columns[2].text_input("Name", placeholder=usual, key="basis_name", max_chars=40)
        n_train = int(np.count_nonzero(~whole.is_val)) or vectors[0]
        usual_size = min(KINDS[kind].default_size(vectors[1], n_train), n_train)  # no more than images
        usual_k = min(32, usual_size)
        if kind == "random" and (
            learned := [one for one in whole.bases.values() if one.kind not in CONTROLS]
        ):
            usual_size, usual_k = (learned[0].card.get(name) or 1 for name in ("size", "k"))  # its control
        size = columns[3].number_input("Latents", 1, value=usual_size, key=f"basis_size_{kind}")
        k = columns[4].number_input("Active at once", 1, value=usual_k, key=f"basis_k_{kind}")
        seeds = columns[5].number_input("Fits", 1, 8, 2, key="basis_fits", help=HEADS["Stability"])
        st.caption(f"{KINDS[kind].summary[:1].upper()}{KINDS[kind].summary[1:]}.")
        try:
            sizes = int(size), int(k), int(seeds)
            command = FitBasis(whole.path, (name or usual).strip(), kind, *sizes, VECTORS[on])
        except JobError as error:
            st.error(widgets.plain(error), icon=":material/error:")
            return
        again = command.of in whole.bases
        start_button(command, f"Fit {command.of} again" if again else "Fit", key="basis_fit", kind="primary")


def unused_name(whole: Study, start: str) -> str:
    """`start`, or with the first number that makes it the name of no basis of the study."""
    names = itertools.chain([start], (f"{start}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in whole.bases)


def _twins(study: Study, whole: Study) -> None:
    """Which latents of one basis another one has, too."""
    names = [*whole.bases, UNITS]
    st.subheader("Two bases side by side")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        here = study.path.name if study.below is not None else names[0]
        mine = select_one("Latents of", names, key="twins_of", default=here, width=200)
        st.caption("and the most similar ones of", width="content")
        others = [name for name in names if name != mine]
        other = select_one("Compared with", others, key="twins_with", width=200)
    frame = basis_reads.twins_of(whole, mine, other)
    cosines = numbers(frame, "cosine")
    n = int(np.count_nonzero(cosines >= basis_reads.TWIN))
    st.markdown(
        f"**{n:,} of {len(frame):,}** of {widgets.plain(mine)} have a twin in {widgets.plain(other)} "
        f"(|cosine| of their directions at least {basis_reads.TWIN}); "
        f"the median of the best |cosine| is {widgets.number(float(np.median(cosines)), digits=2)}."
    )
    order = select_one("Order", ("twins first", "without a twin first"), key="twins_order", width=200)
    shown = (frame if order == "twins first" else frame[::-1]).head(SHOWN)
    name = served_studies.name_of(whole)
    links = {
        column: [session.href("feature", name, feature=str(one), basis=basis) for one in shown[column]]
        for column, basis in (("latent", mine), ("twin", other))
    }
    st.dataframe(
        shown.assign(**links),
        hide_index=True,
        alt=f"The latents of {mine}, and the most similar one of {other}",
        column_config={
            "latent": st.column_config.LinkColumn(mine, display_text=r"feature=(\d+)"),
            "words": "its words",
            "twin": st.column_config.LinkColumn(other, display_text=r"feature=(\d+)"),
            "words_of_twin": "words of that one",
            "cosine": st.column_config.ProgressColumn("|cosine|", format="%.2f", min_value=0, max_value=1),
        },
    )


def _show(name: str) -> None:
    session.set_url(session.BASIS, None if name == UNITS else name)


def _remove(whole: Study, name: str, is_shown: bool) -> None:
    command = RemoveBasis(whole.path, name)
    if (why := launcher.refusal(command)) is not None:
        session.notify(why)
        return
    if is_shown:
        _show(UNITS)
    begin(command)

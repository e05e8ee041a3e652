"""Compare: what differs between encoders on the same images, or between two answers of one study."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.answers.answer import CROSSFIT
from core.bases.basis import UNITS
from core.charts.compared_studies import COMPARED_WORDS, SharedWords
from core.common.formatting import first_of, full_sentence
from core.common.records import Templates
from core.compare.compare import Comparison
from core.compare.separation import scores_of
from core.compare.text import premise_lines
from core.encoders.readout import ASSETS
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.store import Study
from core.study.jobs import read_job
from core.study.missing import nothing
from core.study.write_access import guest_is_asking
from dashboard.cache import comparison_reads, image_filter, reads
from dashboard.components import widgets
from dashboard.components.chart import download, show_chart
from dashboard.components.choose_one import choose_one, select_some
from dashboard.components.page_link import link
from dashboard.jobs import allowed_paths
from dashboard.panels import compared_numbers, compared_pictures, leaderboard, research
from dashboard.panels.bases import BASES
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.new_study_request import GLYPHWORLD, IMAGES
from dashboard.panels.other_encoders import other_encoders_menu
from dashboard.state import served_studies, session
from dashboard.state.pages import PAGES

_say = Templates.beside(__file__)
NAMED = 3  # studies that cannot be compared
WITH, OTHER = "compare_with", "compare_to"  # widget keys and parts of the URL
WHAT = "compare_what"
WORDS, FIGURES = "compare_words_open", "compare_figures_open"  # parts that are folded
STUDIES, LEADERBOARD, ANSWERS, CHECKPOINTS = "Studies", "Leaderboard", "Answers", "Checkpoints"
MOST = 4  # studies beside the first
OF_ALL = (
    "The filter applies to the images compared. Counts of features, words, and the overlap and mean "
    "representations among the paper's figures still use all images."
)
OF_ANSWERS = "The filter applies to the images compared."
OF_CHECKPOINTS = "The filter applies to the images compared, as the first checkpoint answers them."


def compare_page(study: Study, among: Slice) -> None:
    for part in (
        *compared_pictures.PARTS_OF_LINK,
        WORDS,
        FIGURES,
    ):  # a link may name them where they are not drawn
        session.url_text(part)
    every = comparison_reads.other_studies(study)
    linked = session.drop_unknown(WITH, every)  # of these the page says why they cannot be compared
    others = {
        name: other
        for name, other in every.items()
        if name in linked or comparison_reads.shares_images(study, other)
    }
    unlike = [name for name in every if name not in others]
    alike = [name for name, other in others.items() if comparison_reads.made_of_the_same(study, other)]
    has_others = bool(compared_numbers.others_of(study))
    default = ANSWERS if has_others and not alike else STUDIES
    has_answers = has_others or (bool(others) and study.labelled)  # or can be given another one
    has_board = bool(others) and study.labelled
    kinds = [STUDIES, *[LEADERBOARD] * has_board, *[ANSWERS] * has_answers, *[CHECKPOINTS] * bool(others)]
    what = default
    trained = ()
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare_header"):
        with st.container():
            answer_slot = widgets.page_header("Compare", PAGES["compare"].question)
        if len(kinds) > 1:
            what = choose_one("What is compared", kinds, key=WHAT, default=default)
        names = _choose(others, alike) if what == STUDIES else []
        if what == LEADERBOARD:
            other_encoders_menu(study, kind="tertiary")
    if what == LEADERBOARD:
        mine = served_studies.name_of(study)
        encoders = leaderboard.choose_encoders({mine: study, **others}, [mine, *alike])
        _or_warning(lambda: leaderboard.leaderboard_page(encoders))
        return
    if what == CHECKPOINTS:
        mine = served_studies.name_of(study)
        trained = leaderboard.choose_checkpoints({mine: study, **others}, [mine, *alike])
    shown = {
        ANSWERS: (OF_ANSWERS, lambda: compared_numbers.answers(study, among)),
        CHECKPOINTS: (OF_CHECKPOINTS, lambda: leaderboard.checkpoints(trained, among)),
    }
    if what in shown:
        says, show = shown[what]
        filter_bar(study, among, says=says)
        _or_warning(show)
        return
    if not others:
        _alone(study, unlike, "No other study has these images" if unlike else "There is only one study here")
        return
    filter_bar(study, among, says=OF_ALL, counts=False)
    _unlike(unlike)
    if not names:
        st.caption("Choose at least one study to compare with.")
        return
    selected = tuple(others[name] for name in names)
    _still_computed(names, selected)
    _or_warning(lambda: _show(comparison_reads.comparison((study, *selected), among=among), answer_slot))


def _or_warning(show: Callable[[], None]) -> None:
    """Show a comparison, or in one line why there is none."""
    try:
        show()
    except PeregrineError as error:
        st.warning(_sentence(str(error)), icon=":material/difference:")


@widgets.stable_container
def _alone(study: Study, others: Iterable[str], title: str) -> None:
    """The ways to something that this study can be compared with."""
    st.header(title)
    if guest_is_asking():
        return
    gives_answer = study.labelled and not compared_numbers.others_of(study)
    columns = iter(st.columns(2 + gives_answer, gap="medium"))
    with next(columns).container(border=True, height="stretch"):
        st.markdown("**Another encoder**")
        _another_encoder(study)
        other_encoders_menu(study)
    if gives_answer:
        with next(columns).container(border=True, height="stretch"):
            st.markdown("**Another answer of this encoder**", help=widgets.help_text("answer"))
            compared_numbers.add_button(study)
    with next(columns).container(border=True, height="stretch"):
        st.markdown("**Another basis of its features**")
        if study.in_basis(UNITS).bases:
            st.caption(
                "A basis describes images by latents in place of the encoder's own numbers, its units. See "
                "which latents of one another has, too, and what each knows of the classes."
            )
            link("features", "Compare its bases", study, icon="layers", features_as=BASES, bases_twins="true")
        else:
            st.caption(
                "A basis describes the same images by latents, each a direction of many of the encoder's own "
                "numbers, its units."
            )
            link("features", "Learn a basis", study, icon="layers", features_as=BASES)
    if others:
        names = ", ".join(widgets.plain(name) for name in others)
        have = f"The study {names} has" if len(list(others)) == 1 else f"The studies {names} have"
        st.caption(f"{have} other images. Only studies of the same images can be compared.")


def _another_encoder(study: Study) -> None:
    """Links to the form of a new study of these images, also with each shipped encoder made for such ones."""
    st.caption("One that is shipped, one of torchvision or timm, or a checkpoint of your own.")
    images = str(study.settings("embed").get("images") or "")
    of_world = images == GLYPHWORLD
    query = {}
    field = "new_asset"
    if of_world:
        query = {"new_images": IMAGES[GLYPHWORLD]}
        field = "new_world_asset"
    elif Path(images).is_dir():
        query = {"new_images_path": allowed_paths.short(Path(images))}
    for name, title in ASSETS.items():
        if query and of_world == ("glyphworld" in name) and study.encoder_name != f"asset:{name}":
            link("new_study", title, study, icon="add_circle", **query, **{field: title})
    link("new_study", "New study of these images", study, icon="add_circle", **query)


def _choose(others: dict[str, Study], alike: list[str]) -> list[str]:
    if not others:
        return []
    with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
        st.caption("Compared with", width="content")
        return select_some(
            "Compare with", others, key=WITH, default=alike[:1], most=MOST,
            placeholder="Of the same images", width=260,
        )  # fmt: skip


@widgets.stable_container
def _still_computed(names: list[str], selected: tuple[Study, ...]) -> None:
    for name, study in zip(names, selected, strict=True):
        job = read_job(study.path)
        if job is not None and job.running:
            line = f"{widgets.plain(name)} is still being computed: what it lacks now is not compared yet."
            st.info(line, icon=":material/pending:")


def _show(comparison: Comparison, answer_slot: DeltaGenerator) -> None:
    n = comparison.shared.n_images
    n_judged = int(comparison.shared.judged.sum())
    which = "both" if len(comparison.names) == 2 else f"all {len(comparison.names)}"
    n_compared = n_judged + int(comparison.shared.other_label.sum())
    evaluated = "" if n == n_compared else f", **{n_judged:,}** for evaluation"
    answer_slot.caption(f"{_bold(n, 'image')} in {which}{evaluated}")
    other = _other(comparison)
    compared_numbers.verdict(comparison, other)
    _of_fewer_images(comparison)
    judged = not comparison.among or bool(comparison.shared.judged.any())
    if judged:
        compared_pictures.changed_sides(comparison, other)
    compared_numbers.cards(comparison, other)
    _notes(comparison)
    if len(comparison.classes) or (not judged and scores_of(comparison.separation)):  # else no verdicts
        _judged(comparison, other, judged)
    compared_pictures.gained_and_lost(comparison, other)
    for show in research.BELOW_COMPARED_FEATURES:
        show(comparison)
    with st.expander("All numbers", icon=":material/table:"):
        compared_numbers.table(comparison, other)
        _premises(comparison)
    widgets.drawer("Words", WORDS, "text_fields", lambda: words(comparison))
    figures = partial(compared_pictures.paper_figures, comparison)
    widgets.drawer("The paper's figures, side by side", FIGURES, "imagesmode", figures)
    other_encoders_menu(comparison.shared.studies[0], kind="tertiary")


@widgets.stable_container
def _unlike(names: list[str]) -> None:
    if names:
        st.caption(_say("unlike", n=len(names), names=tuple(map(widgets.plain, names[:NAMED]))))


@widgets.stable_container
def _of_fewer_images(comparison: Comparison) -> None:
    """Why the studies are judged by fewer images than their leaderboard, and the way to all of them."""
    shared = comparison.shared
    if any(one.is_out_of_fold for one in shared.studies):
        return
    has_crossfit = all(CROSSFIT in one.answers for one in shared.studies)
    study, other = shared.studies[:2]
    if not has_crossfit:
        return
    whole = comparison_reads.shared_by(tuple(one.answering(CROSSFIT) for one in shared.studies))
    of_both_splits = reads.mask(study, image_filter.of_page())[whole.rows[0]]
    n_labelled = int(np.count_nonzero(whole.judged & of_both_splits & pd.notna(whole.labels)))
    if n_labelled <= int(shared.judged.sum()):
        return
    out_of_fold = {"answer": CROSSFIT, "compare_what": STUDIES, WITH: served_studies.name_of(other)}
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="compare_fewer"):
        st.caption(_say("fewer"), width="content")
        link("compare", _say("all_labelled", n=n_labelled), study, icon_right="arrow_forward", **out_of_fold)
        link("compare", LEADERBOARD, study, icon_right="arrow_forward", compare_what=LEADERBOARD)


@widgets.stable_container
def _judged(comparison: Comparison, other: str, judged: bool) -> None:
    """Charts that rest on verdicts, which are compared on evaluation images."""
    if not judged:
        widgets.empty_state("No evaluation images", nothing("no_evaluation_images"))
        return
    compared_numbers.classes_and_scores(comparison, other)


def _bold(n: int, one: str) -> str:
    return f"**{n:,}** {one}{'s' * (n != 1)}"


def _sentence(text: str) -> str:
    return widgets.plain(full_sentence(text))


@widgets.stable_container
def _notes(comparison: Comparison) -> None:
    """What makes the studies hard to compare; the commands that mend it are folded."""
    for note in comparison.notes:
        st.caption(f":material/difference: {_sentence(note.text)}")
    if commands := [note.command for note in comparison.notes if note.command]:
        with st.expander("What mends this, in a terminal", icon=":material/terminal:"):
            st.code("\n".join(commands), language="bash", wrap_lines=True)


@widgets.stable_container
def _other(comparison: Comparison) -> str:
    """Choose the study whose change is shown in detail."""
    names = comparison.names[1:]
    if len(names) == 1:
        return names[0]
    return choose_one("Changes are shown to", names, key=OTHER, shows_label=True)


@widgets.stable_container
def _premises(comparison: Comparison) -> None:
    """What Q is worth in each study: said wherever Q is shown."""
    for line in premise_lines(comparison):
        st.caption(widgets.plain(line))


def words(comparison: Comparison) -> None:
    """Shared concepts, and the words of one study alone."""
    st.caption("What the features of each study look at, in words", help=widgets.help_text("n_concepts"))
    if comparison.words is None:
        lacking = next(study for study in comparison.shared.studies if not study.has("concepts"))
        widgets.needs(lacking, "concepts", "The comparison of words")
        return
    left, right = st.columns([2, 3], gap="large")
    matrix, of_words = comparison.words.matrix, str(comparison.words.across["study"].iloc[0])
    first, *others = [study for study in comparison.shared.studies if study.has("concepts")]
    with left:
        shared = SharedWords(matrix.reset_index(names="study"), matrix)
        show_chart(first, COMPARED_WORDS, others=others, name="compare_words", shown=shared)
    with right:
        for name, changes in comparison.words.changes.items():
            st.markdown(f"**{widgets.plain(name)}**")
            for study, one in zip((name, of_words), changes.values(), strict=True):
                text = widgets.plain(first_of(one, 24)) if one else "none"
                st.markdown(f"{_say('only_in', what=widgets.plain(study), n=len(one))} {text}")
    st.dataframe(
        comparison.words.shared,
        hide_index=True,
        height=240,
        alt="In how many features of each study a word stands",
    )
    download(comparison.shared.studies, comparison.words.shared, name="compare_shared_words")
    for show in research.BELOW_COMPARED_WORDS:
        show(comparison)


compare_page(session.current_study(), image_filter.population())

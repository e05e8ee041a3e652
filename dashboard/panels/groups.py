"""Groups of features that fire together, and what they mean together and alone."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import concept_groups
from core.charts import concept_groups as figures
from core.common.command_line import command_line
from core.common.dataframes import columns, numbers
from core.common.formatting import counted
from core.common.group_names import from_link, group_features, is_joint
from core.common.records import Templates
from core.common.step_facts import ConceptsFacts, ThresholdFacts
from core.measures.slice import Slice
from core.store import Study
from core.study.write_access import guest_is_asking
from dashboard.cache import concept_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import chart, download
from dashboard.components.choose_one import choose_one
from dashboard.components.job_follower import start_button, step_command, why_not
from dashboard.components.page_link import link
from dashboard.components.widgets import pick_row
from dashboard.panels import word_evidence
from dashboard.state import served_studies, session

# The panel of one group (Kalibhat 2023, Fig. 4.4): the joint concept, and below it each feature alone.


CROPS = 7
MOST = 6  # features shown at first
TILE = 68
Box = tuple[float, float, float, float]


def together(study: Study, group: str, joint: Collection[str], alone: Collection[str]) -> None:
    """The joint concept: its crops and words, those that no feature has alone set apart."""
    with st.container(border=True, key="group_joint"):
        left, right = st.columns([2, 5], gap="medium")
        with left:
            st.markdown(f"**Together: {widgets.plain(_called(study, group))}**")
            if joint:
                st.markdown(_badges(joint, {word: "green" for word in joint if word not in alone}))
                if any(word not in alone for word in joint):
                    st.caption("Green: none of the features has this word alone.")
            else:
                _no_words(study, group)
        with right:
            _images(study, group)


def row(study: Study, feature: str, *, joint: Collection[str]) -> None:
    """One feature alone; of its words those that the joint concept keeps are set apart."""
    with st.container(border=True):
        left, right = st.columns([2, 5], gap="medium")
        with left:
            st.markdown(f"**{widgets.plain(reads.feature_name(study, int(feature)))}**")
            if words := concept_reads.kept_words(study, feature):
                st.markdown(_badges(words, {word: "blue" for word in words if word in joint}))
                lost = bool(joint) and any(word not in joint for word in words)
                st.caption("Blue: also said of the group." * (lost and any(word in joint for word in words)))
                link("feature", "Captions and counterfactuals", study, icon="lightbulb", feature=feature)
            else:
                st.caption("No words: too few images activate it highly to explain it by itself.")
        with right:
            _images(study, feature)


def _called(study: Study, group: str) -> str:
    numbers = concept_reads.plain_name(group)
    words = concept_reads.best_words(study, group, 3)
    which = f"{study.feature_kind.lower()}s {numbers}"
    return f"{', '.join(words)} ({which})" if words else which


def _badges(words: Collection[str], colours: Mapping[str, str]) -> str:
    return " ".join(f":{colours.get(word, 'gray')}-badge[{widgets.plain(word)}]" for word in words)


def _no_words(study: Study, group: str) -> None:
    n, least = len(concept_reads.images_of_group(study, group)), concept_reads.min_images(study)
    n_images = "1 image activates" if n == 1 else f"{n} images activate"
    why = f"No words of its own: {n_images} exactly these features highly"
    if n > least:
        st.caption(f"{why}, but groups were not explained.")
        st.code(command_line("concepts", study.path), "bash", wrap_lines=True)
        return
    st.caption(f"{why}, and more than {least} are needed to explain a group.")
    if n > 1:
        st.code(command_line("concepts", study.path, min_images=n - 1), "bash", wrap_lines=True)


def _images(study: Study, group: str) -> None:
    """Crops of a unit's strongest images; whole images where it was not explained."""
    high = concept_reads.of_group(study, "highly_activating", group)
    boxes: dict[int, Box] = {}
    if len(high):
        rows = concept_reads.rows_of(study, high)
        boxes = concept_reads.boxes_of(high, rows)
    elif is_joint(group):
        rows = concept_reads.images_of_group(study, group)
    else:
        rows = reads.top_rows(study, int(group)) if study.has("top_images") else np.empty(0, np.int64)
    if not len(rows):
        st.caption("No image.")
        return
    widgets.image_gallery(
        study,
        rows[:CROPS],
        key=f"group_images_{group}",
        captions={int(one): () for one in rows[:CROPS]},
        tile=TILE,
        label=f"images of {concept_reads.plain_name(group)}",
        pictures=lambda some: [(_crop(study, row, boxes),) for row in some],
        names=("Crop that was described" if boxes else "Image",),
    )
    st.caption(_how_many(len(rows), "crop" if boxes else "image"))


def _how_many(n: int, what: str) -> str:
    """What the tiles are.

    >>> _how_many(1, "image"), _how_many(5, "image"), _how_many(9, "crop")
    ('The only image.', 'All 5 images.', 'The 7 strongest of 9 crops.')
    """
    if n == 1:
        return _say("only_tile", what=what)
    return _say("strongest_tiles" if n > CROPS else "all_tiles", n=n, of=CROPS, what=what)


def _crop(study: Study, row: int, boxes: Mapping[int, Box]) -> str:
    """The crop, or the whole image where it was not cropped."""
    box = boxes.get(row)
    crop = concept_reads.crop_url(study, row, box) if box else ""
    return crop or served_studies.picture_url(study, row)


# Groups: features that fire together, and how what they mean together differs from each alone.


_say = Templates.beside(__file__)
GROUP = "group"  # part of the URL
JOINT, SINGLE = SCOPES = ("Groups of several features", "Single features")
SIZE = "n_images"  # column by which groups are counted
HARDLY_SHARED = 1.5  # images of a group on average, below which groups say little
FEWEST_IMAGES = 2  # groups of more than these images can have words, if asked for

OF_A_GROUP = [  # columns of the table `explained` that the chart's file holds
    *("group", "n_features", "n_images", "n_crops", "clip_cosine", "clip_cosine_with_diagonal"),
    *("interpretable", "n_counterfactuals", "n_kept", "n_discarded", "words"),
]


def feature_groups(study: Study) -> None:
    """Draw the sizes of the groups, the list of them, and one of them beside its features."""
    if not word_evidence.ready(study, "No groups were looked for"):
        return
    if not all(widgets.needs(study, item, "The table of groups") for item in ("groups", "explained")):
        return
    every, joint = concept_reads.groups(study), concept_reads.joint(study)
    if _says_little(joint) and session.url_text(GROUP) is None:
        _single_features_instead(study, every)
        draw = partial(_groups, study, every, joint)
        widgets.drawer("Look at the groups all the same", "groups_all_the_same", "unfold_more", draw)
    else:
        _groups(study, every, joint)


def _says_little(joint: pd.DataFrame) -> bool:
    """Whether hardly any set of several features is shared by two images, and none has words."""
    is_explained = bool(numbers(joint, "explained").any())
    return not is_explained and bool(numbers(joint, "n_images").mean() < HARDLY_SHARED)


@widgets.stable_container
def _single_features_instead(study: Study, every: pd.DataFrame) -> None:
    n = int(numbers(every, "n_images").sum())
    with st.container(border=True):
        st.markdown(f"**{_say('little')}**")
        st.caption(_say("sets", n=n, of=len(every)))
        link("features", "Words of single features", study, icon="translate", features_as="Words")


def _groups(study: Study, every: pd.DataFrame, joint: pd.DataFrame) -> None:
    _facts(study, every, joint)
    left, right = st.columns(2, gap="large")
    with left:
        _sizes(study, every)
    chart, units = right.container(), _scope(study, joint)
    group = _chosen(units)
    with chart:
        _interpretability(study, group)
    _table(units)
    if group is not None:
        _one(study, group)


def _facts(study: Study, every: pd.DataFrame, joint: pd.DataFrame) -> None:
    n, large = int(numbers(every, "n_images").sum()), int(numbers(joint, "large").sum())
    least = concept_reads.min_images(study)
    sets, several = _say("different_sets", n=n, of=len(every)), _say("several", n=len(joint))
    interpretable = int(numbers(joint, "interpretable").sum())
    kind = ("one_large" if large == 1 else "large") if large else "none_large"
    shared = _say(kind, n=large, of=least, names=(f"{interpretable:,}",))
    st.markdown(f"{sets} {several}; {shared}.", help=widgets.help_text("group"))
    if (k := study.facts(ConceptsFacts).k) is not None:
        st.caption(
            f"Strongly: more than k = {k:g} standard deviations above the mean of all activations. "
            "A larger k leaves fewer features to an image, so more images share a set."
        )
    if not numbers(joint, "explained").any():
        _why_none(study, joint, least)


def _why_none(study: Study, joint: pd.DataFrame, least: int) -> None:
    """Why no group has words; and, where a run would put some into words, that run, once it is confirmed."""
    best = max(
        study.facts(ConceptsFacts).per_k, key=lambda line: line.n_joint_groups, default=ThresholdFacts()
    )
    largest = int(numbers(joint, "n_images").max(initial=0))
    if best.n_joint_groups:
        why = f"None has more than {least} images at this k. With k = {best.k:g}, "
        why += f"{counted(best.n_joint_groups, 'group')} would be put into words."
        then = f"The words are computed again with k = {best.k:g}, "
        then += f"at which {counted(best.n_explainable, 'single feature')} can have words."
        options = {"k": f"{best.k:g}"}
    elif largest > FEWEST_IMAGES:
        why = f"None has more than {least} images, at any k that was tried; the largest has {largest}."
        then = f"The words are computed again, and groups of {FEWEST_IMAGES + 1} images have words, too."
        options = {"min_images": str(FEWEST_IMAGES)}
    else:
        why = f"No set of several features is shared by more than {counted(max(largest, 1), 'image')}, "
        why += "too few to be put into words. The words of single features are not concerned."
        then, options = "", {}
    with st.container(border=True):
        st.markdown("**No group of several features has words yet**")
        st.caption(widgets.plain(why))
        if options:
            _confirm(study, then, options)


def _confirm(study: Study, then: str, options: dict[str, str]) -> None:
    """A button that starts nothing before what it replaces is agreed to."""
    command = step_command(study, "concepts", options)
    if command is None or guest_is_asking():
        return
    with st.popover("Put groups into words", icon=":material/play_arrow:", key="group_run"):
        st.markdown(widgets.plain(then))
        st.caption("This takes as long as the step concepts took.")
        n_words = len(concept_reads.explained(study))
        replaced = f"Replace the present words of {counted(n_words, 'feature')}"
        if not n_words or st.checkbox(replaced, key="group_run_replaces"):
            why_not(start_button(command, "Run", key="run_group_run"))
        else:
            st.button("Run", key="run_group_off", disabled=True, help="Agree to what it replaces first.")


def _sizes(study: Study, every: pd.DataFrame) -> None:
    counts = figures.count_by_size(every, SIZE)
    st.header(concept_groups.group_size_finding(counts, SIZE))
    chart(
        study,
        "group_sizes",
        lambda theme: figures.group_sizes(counts, size=SIZE, theme=theme),
        alt="Number of groups of each size",
        data=counts,
    )


def _scope(study: Study, joint: pd.DataFrame) -> pd.DataFrame:
    """The groups that the chart and the table are about."""
    has_words = bool(numbers(joint, "explained").any())
    scope = choose_one("Which groups", SCOPES, key="group_of", default=JOINT if has_words else SINGLE)
    return joint if scope == JOINT else concept_reads.single(study)


def _interpretability(study: Study, group: str | None) -> None:
    units, gamma = reads.table(study, "explained"), concept_reads.gamma(study)
    cosine = numbers(units, "clip_cosine")
    st.header(concept_groups.likeness_finding(cosine, gamma), help=widgets.help_text("clip_cosine"))
    chart(
        study,
        "group_interpretability",
        lambda theme: figures.interpretability(
            units,
            gamma=gamma,
            names=[concept_reads.short_group_name(study, str(name)) for name in units["group"]],
            selected=group,
            theme=theme,
        ),
        group,
        alt="Mean CLIP cosine of each group's crops against its number of images; click a point to see it",
        data=columns(units, OF_A_GROUP),
        on_select=_clicked,
    )


def _clicked(points: list[dict]) -> None:
    group = str(points[-1]["customdata"][0])
    session.set_widget("group_of", JOINT if is_joint(group) else SINGLE)
    session.set_url(GROUP, group)


def _chosen(units: pd.DataFrame) -> str | None:
    """The group of the link, or the first of those shown; one that is not here is dropped with a note."""
    names = {str(name) for name in units["group"]}
    in_link = session.url_text(GROUP)
    asked = None if in_link is None else from_link(in_link)
    if asked is not None and asked not in names:
        if not is_joint(asked) or is_joint(next(iter(names), "")):
            session.notify(f"There is no group {asked[:60]!r} here, so that part of the link was dropped.")
        session.set_url(GROUP, None)
        asked = None
    return asked or (str(units["group"].iat[0]) if len(units) else None)


def _table(units: pd.DataFrame) -> None:
    if units.empty:
        st.info("There are no such groups.")
        return
    single = bool((numbers(units, "n_features") == 1).all())
    st.caption(f"{counted(len(units), 'feature' if single else 'group')}; pick a row to see one below.")

    table = units.assign(name=[concept_reads.plain_name(str(name)) for name in units["group"]])
    table["words"] = table["words"].where(table["words"] != "", None)
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    described = {
        "name": text("Features", width=110),
        "words": text("What they mean together", width=320),
        "members": text("Best word of each alone", width=140),
        "n_images": number("Images", width=60),
        "clip_cosine": number("Cosine", format="%.3f", width=65, help=widgets.help_text("clip_cosine")),
        "interpretable": st.column_config.CheckboxColumn("Interpretable", width=95),
    }
    pick_row(
        columns(table, list(described)),
        described,
        lambda row: session.set_url(GROUP, str(units["group"].iat[row])),
        key="group_table",
        alt="Groups of features; select a row to see that group below",
        height=318,
    )
    download(session.current_study(), table.drop(columns="name"), name="groups")


def _one(study: Study, group: str) -> None:
    members = [str(feature) for feature in group_features(group)]
    if len(members) == 1:
        st.header("One feature")
        row(study, group, joint=())
        return
    st.header("One group: together and alone", help=widgets.help_text("group"))
    joint = concept_reads.kept_words(study, group)
    alone = {word for member in members for word in concept_reads.kept_words(study, member)}
    together(study, group, joint, alone)
    most = MOST
    if len(members) > most and st.toggle(f"Show all {len(members)} features", key="group_all_members"):
        most = len(members)
    for member in members[:most]:
        row(study, member, joint=joint)
    _matrix(study, [group, *members[:most]])
    if joint:
        word_evidence.classes(study, group)
        word_evidence.word_evidence(study, group, Slice())


def _matrix(study: Study, units: Sequence[str]) -> None:
    """Scores of the words, side by side."""
    if not concept_reads.kept_words(study, units[0]):
        return
    scores = figures.word_table(reads.table(study, "concepts"), units)
    st.header("Their words side by side", help=widgets.help_text("word_score"))
    names = {units[0]: "together"} | {unit: f"{unit} alone" for unit in units[1:]}
    chart(
        study,
        "group_words",
        lambda theme: figures.word_matrix(scores, names, joint=units[0], theme=theme),
        *units,
        alt="Score of each word for the group and for each of its features alone",
        data=scores.rename(columns=names).reset_index(),
    )

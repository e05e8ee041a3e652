"""The worst slices of the images of a page: as rows with pictures, as a table, or as a chart."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.answers.answer import CROSSFIT, evaluated
from core.charts.slices import WORST_SLICES, WorstSlices
from core.common.captions import with_class_names
from core.common.dataframes import numbers
from core.common.formatting import counted
from core.common.records import Record, Templates
from core.errors import PeregrineError, SliceError
from core.measures import saved_slices as saved_file
from core.measures.finder import ALL, CLASS, MIN_IMAGES, varied
from core.measures.slice import Slice
from core.measures.slice_comparison import is_filtered
from core.store import Study
from core.study.missing import nothing
from core.study.write_access import guest_is_asking
from dashboard.cache import map_reads, reads, slice_reads
from dashboard.components import widgets
from dashboard.components.cards import Bar, Button, Card, cards
from dashboard.components.chart import download, show_chart
from dashboard.components.choose_one import choose_one, select_one
from dashboard.components.widgets import pick_row
from dashboard.panels import saved_slices
from dashboard.panels.feature_cards import thumbnails
from dashboard.state import session

# Slices as rows: a plain name, the error rate with its interval, pictures, and what can be done with it.


SAVE, UNDO, SAVED, FILTER, HEATMAPS = "save", "undo", "saved", "filter", "heatmaps"
PICTURES = 6
JUST_SAVED = "_just_saved"  # of this session: the names of slices that can be taken back


def slice_rows(
    study: Study,
    table: pd.DataFrame,
    *,
    compared: str,
    link: Callable[[], Mapping[str, str]],
    key: str,
    pictures: int = PICTURES,
    mark_chance: bool = True,
) -> None:
    """Draw rows of `slice_reads.worst`, each of which opens its slice.

    compared: where the images are that a slice is compared with, as in "26 % elsewhere". link: further parts
    of the address of an opened slice. mark_chance: say which differences could be chance.
    """
    saved = {text: name for name, text in saved_slices.known(study).items()}
    rows = table.to_dict("records")
    pictures_of = _pictured(study, [str(row["where"]) for row in rows], pictures)
    names = {str(row["where"]): str(row["name"]) for row in rows}

    def pressed(where: str, button: str) -> None:
        act = {SAVE: _save, UNDO: _undo, FILTER: _filter, HEATMAPS: _heatmaps}.get(button)
        if act is not None:
            act(study, where, names[where])

    cards(
        [
            _card(study, row, saved, compared, link(), some, mark_chance=mark_chance)
            for row, some in zip(rows, pictures_of, strict=True)
        ],
        key=key,
        label="Slices, the highest lower bound of the error rate first",
        on_open=lambda where: session.set_url("slice", where),
        on_press=pressed,
        wide=True,
    )


def _pictured(study: Study, places: list[str], n: int) -> list[list[int]]:
    """The images on each row: its most confident errors, as far as there are others not on a row above."""
    taken: set[int] = set()
    rows_of: list[list[int]] = []
    correct = reads.images(study)["correct"]
    for where in places if n else ():
        rows = worst_first(study, Slice.parse(where))
        wrong = correct.iloc[rows].eq(False).fillna(False).to_numpy(bool)
        rows_of.append(varied(rows[wrong], rows[~wrong], taken, n))
        taken.update(rows_of[-1])
    return rows_of or [[]] * len(places)


def _card(
    study: Study,
    row: dict,
    saved: Mapping[str, str],
    compared: str,
    link: Mapping[str, str],
    rows: list[int],
    *,
    mark_chance: bool,
) -> Card:
    where = str(row["where"])
    rate, rest = float(row["error_rate"]), float(row["rest"])
    also = str(row["also"])
    name = saved.get(_text(where))
    saved_as = name and ("saved" if name == str(row["name"]) else f"saved as “{name}”")
    by_chance = "could be chance" if mark_chance and not row["q"] <= 0.05 else ""
    origins = [source_of(study, row), also and f"the same images: {also}"]
    bar = Bar(
        f"{widgets.percent(rest, digits=0)} {compared}",
        rate,
        f"{100 * rate:.0f} % wrong ({100 * row['low']:.0f} to {100 * row['high']:.0f})",
        "bad",
        float(row["low"]),
        float(row["high"]),
        rest if np.isfinite(rest) else None,
    )
    buttons = (
        Button(FILTER, "Filter", "Show these images only, on every page", first=True),
        *([] if guest_is_asking() else [_save_button(name)]),
        Button(HEATMAPS, "Heatmaps", "Correct beside misclassified images of this slice"),
    )
    return Card(
        where,
        str(row["name"]),
        href=session.href("errors", study, slice=where, **link),
        note=judged(study, row),
        tag=saved_as or by_chance,
        subtitle="; ".join(filter(None, origins)),
        pictures=thumbnails(study, rows),
        bars=(bar,),
        buttons=buttons,
    )


def judged(study: Study, row: dict) -> str:
    """How many images a row counts: those whose answer is known to be right or wrong."""
    n = int(row["n"])
    what = (
        "" if n == slice_reads.count(study, Slice.parse(str(row["where"]))) else " known to be right or wrong"
    )
    return f"{n:,} images{what}"


def source_of(study: Study, row: dict) -> str:
    """Where the images' trait comes from, in as few words as it takes."""
    trait, kind = str(row["trait"]), str(row["kind"])
    if kind == "feature":
        feature = int(trait.rpartition(" ")[2])  # its title has the number, and its note how many images
        firing = reads.firing_classes(study).get(feature)
        return "" if firing is None or firing.few else reads.where_it_fires(study, feature)
    if kind == "column":
        column, _, value = trait.rpartition(": ")
        if value in map_reads.TRUTHS or value in str(row.get("name", "")):  # the title says it in words
            return ""
        return f"{column.replace('_', ' ')}: {map_reads.TRUTHS.get(value, value)}"
    in_title = {"class": "all of the class", "concept": "", "picture": ""}  # a title has its word, too
    return in_title.get(kind, trait)


def worst_first(study: Study, where: Slice) -> np.ndarray:
    """The images of a slice: misclassified ones first, those that the probe is most confident of in front."""
    rows = np.flatnonzero(reads.mask(study, where))
    images = reads.images(study)
    right = images["correct"].iloc[rows].to_numpy(dtype=float, na_value=np.nan)
    confidence = images["confidence"].iloc[rows].to_numpy(dtype=float)
    return rows[np.lexsort((-confidence, right))]


def _save_button(name: str | None) -> Button:
    if name is None:
        return Button(SAVE, "Save", "Keep this slice in the study under its name")
    if name in session.recall(JUST_SAVED, ()):
        return Button(UNDO, "Unsave", f"Take “{name}” out of the saved slices again")
    return Button(SAVED, "Saved", f"Saved as “{name}”; Slices, above, deletes it", active=False)


def _text(where: str) -> str:
    return str(Slice.joined(Slice.parse(where).parts()))


def _save(study: Study, where: str, name: str) -> None:
    def keep() -> None:
        stored = saved_file.save(study.path, _free_name(study, where, name), Slice.parse(where))
        session.set_widget(JUST_SAVED, (*session.recall(JUST_SAVED, ()), stored))
        saved_slices.show_later(stored)
        session.toast(f"Saved as “{stored}”, under Slices")

    _try(keep)


def _free_name(study: Study, where: str, name: str) -> str:
    """The plain name, shortened to what a name may be; with a number where another slice has it."""
    texts, short = saved_slices.known(study), _shortened(" ".join(name.split()), saved_file.LONGEST - 4)
    free = short
    for number in range(2, len(texts) + 3):
        if texts.get(free, _text(where)) == _text(where):
            break
        free = f"{short} {number}"
    return free


def _shortened(name: str, most: int) -> str:
    """The words of a name that `most` characters hold; a bracket that is opened is closed.

    >>> _shortened("images with feature 8 (gown, mortarboard)", 36), _shortened("small objects", 36)
    ('images with feature 8 (gown)', 'small objects')
    """
    if len(name) <= most:
        return name
    words = name[:most].rpartition(" ")[0].rstrip(" ,(") or name[: most - 1]
    return f"{words})" if words.count("(") > words.count(")") else words


def _undo(study: Study, where: str, name: str) -> None:
    def take_back() -> None:
        stored = next(one for one, text in saved_slices.known(study).items() if text == _text(where))
        saved_file.delete(study.path, stored)
        left = tuple(one for one in session.recall(JUST_SAVED, ()) if one != stored)
        session.set_widget(JUST_SAVED, left)
        session.toast(f"“{stored}” is no longer saved")

    _try(take_back)


def _try(act: Callable[[], None]) -> None:
    try:
        act()
    except PeregrineError as error:
        session.notify(str(error))


def _filter(study: Study, where: str, name: str) -> None:
    session.set_filter(_shared(where))
    session.set_url("slice", None)
    session.toast(f"Every page now shows: {name}")


def _heatmaps(study: Study, where: str, name: str) -> None:
    session.go("heatmaps", **{session.WHERE: _shared(where)})


def _shared(where: str) -> str:
    """The filter of a slice: evaluation images are what every page shows without a word."""
    parts = [part for part in Slice.parse(where).parts() if part.split != "val"]
    return str(Slice.joined(parts))


# The worst slices of the images of a page: as rows with pictures, as a table, or as a chart.


AGAINST = {"All other images": ALL, "The rest of its class": CLASS}
ROWS, TABLE, CHART = VIEWS = ("Rows", "Table", "Chart")
SHOWN = "slice"  # part of the URL: the slice that is opened
LINKED = ("slices_against", "slices_least")  # parts of the URL that a link to a slice needs
CHANCE = "slices_chance"  # the same: those that could be chance are unfolded
DISTINCT = "slices_distinct"  # part of the URL; EVERY where slices that repeat others are listed, too
EVERY = "false"
RULE = "Leaves out a slice when more than half of its errors are in slices listed above it."
PAGE = 10
FEW = 3  # images of a slice, where the usual minimum leaves none
CHARTED = 30
TILES = 24
say = Templates.beside(__file__)


@dataclass(frozen=True)
class Choice:
    """What the controls say."""

    against: str
    least: int
    significant: bool
    distinct: bool
    view: str
    fewer: bool = False  # than the usual minimum, because that leaves none


def worst_slice_list(
    study: Study, population: Slice, head: DeltaGenerator, answer_slot: DeltaGenerator
) -> None:
    """Draw the section; `head`, the row of the page's headline, takes the controls, and `answer_slot`, the
    line below the title, how many slices there are.
    """
    with head:
        choice = _controls()
    _offer_all(study)
    table, choice = _table_of(study, population, choice)
    if (opened := _opened(table)) is not None:
        _one(study, table.iloc[opened], choice)
        return
    significant = numbers(table, "q") <= 0.05
    listed = table.loc[significant].reset_index(drop=True) if choice.significant else table
    if by_chance := listed.empty:
        listed = table.loc[numbers(table, "error_rate") > numbers(table, "rest")].reset_index(drop=True)
    if listed.empty:
        _none(study, population, choice)
        return
    n_all = len(listed)
    if choice.distinct:
        slices = tuple(map(Slice.parse, listed["where"]))
        distinct = listed.loc[slice_reads.distinct(study, slices)].reset_index(drop=True)
        listed = listed if distinct.empty else distinct  # slices without errors repeat none
    if few := slice_reads.too_few_errors(study, population):
        line = say("too_few", parts=few.parts)
    elif by_chance:
        line = _chance_sentence(len(table), within=is_filtered(study, population))
    else:
        line = _count_sentence(int(np.count_nonzero(significant)), n_all, len(listed), choice)
    if choice.fewer:
        line = f"{line} {say('smaller', n=MIN_IMAGES)}"
    answer_slot.caption(line)

    def draw() -> None:
        if choice.view == CHART:
            _chart(study, listed.head(CHARTED), population, choice)
        elif choice.view == TABLE:
            _table(study, listed, population)
        else:
            _rows(study, listed, choice, mark_chance=not by_chance)  # else the line above says it of all
        _offer_every(n_all, len(listed), choice, worse=by_chance)

    if not by_chance or choice.view != ROWS:  # who asks for a table or chart wants to see it
        draw()
        return
    with st.container():  # the images have the place that they have in `_none`
        with st.container():
            widgets.drawer(_chance_title(n_all, len(listed)), CHANCE, "unfold_more", draw)
            st.caption("The images one by one, misclassified ones first:")
        _images(study, population, "images of the filter")


def _offer_all(study: Study) -> None:
    """The way to the mistakes on all labelled images, where the probe has seen the train images."""
    out_of_fold = study.answers.get(CROSSFIT)
    if study.answer is not None or out_of_fold is None:
        return
    n = int(evaluated(study, out_of_fold.kind).sum())
    st.button(
        f"Count all {counted(n, 'labelled image')}, by probes that have not seen them",
        key="slices_all_images",
        type="tertiary",
        icon=":material/select_all:",
        on_click=session.set_url,
        args=(session.ANSWER, CROSSFIT),
    )


def _table_of(study: Study, population: Slice, choice: Choice) -> tuple[pd.DataFrame, Choice]:
    """The slices, with fewer images each where the usual minimum leaves none and nobody chose it."""
    table = slice_reads.worst(study, population, choice.least, AGAINST[choice.against])
    worse = numbers(table, "error_rate") > numbers(table, "rest")
    if worse.any() or session.url_text("slices_least") is not None:
        return table, choice
    smaller = slice_reads.worst(study, population, FEW, AGAINST[choice.against])
    if not (numbers(smaller, "error_rate") > numbers(smaller, "rest")).any():
        return table, choice
    return smaller, replace(choice, least=FEW, fewer=True)


def _controls() -> Choice:
    """What is listed, behind a button, and in which form."""
    view = choose_one("View", VIEWS, key="slices_view", default=ROWS)
    with st.popover("Options"):
        against = select_one("Compare with", AGAINST, key="slices_against", shows_label=True)
        least = st.number_input(
            "Minimum images", 2, 10_000, MIN_IMAGES, key="slices_least", bind="query-params"
        )
        significant = st.toggle(
            "Significant only", value=True, key="slices_sure", bind="query-params",
            help=widgets.help_text("worst_slices"),
        )  # fmt: skip
    return Choice(against, int(least), significant, session.url_text(DISTINCT) != EVERY, view)


@widgets.stable_container
def _none(study: Study, population: Slice, choice: Choice) -> None:
    why = nothing("no_large_slice", n=choice.least)
    verdicts = numbers(reads.images(study), "correct")[reads.mask(study, population)]
    verdicts = verdicts[np.isfinite(verdicts)]
    decided = bool(verdicts.size) and verdicts.min() == verdicts.max()
    if decided:
        why = nothing("all_correct" if verdicts[0] else "all_misclassified")
    if (verdicts == 0).any():
        st.caption(why if decided else f"{why} These are the images, misclassified ones first.")
        _images(study, population, "images of the filter")
    else:
        widgets.empty_state("No worst slices", why)
    if not decided and choice.least > FEW:
        st.button(
            f"List slices of {FEW} images and more", key="slices_fewer", icon=":material/unfold_more:",
            on_click=_list_fewer,
        )  # fmt: skip


def _list_fewer() -> None:
    session.set_widget("slices_least", FEW)
    session.set_widget(CHANCE, True)


def _count_sentence(n_significant: int, n_all: int, n_shown: int, choice: Choice) -> Record:
    """How many there are, and by which rule they are listed."""
    worse = say("one_worse" if n_significant == 1 else "worse", n=n_significant)
    if not choice.significant:
        worse = say("worse_of", of=n_all, parts=(worse,))
    if not choice.distinct or n_shown == n_all:
        return say("listed", parts=(worse,))
    return say("one_listed" if n_shown == 1 else "some_listed", n=n_shown, parts=(worse,))


def _chance_sentence(n: int, *, within: bool) -> Record:
    """None of n slices is significantly worse; within: among the images of a filter."""
    if within:
        return say("only_within" if n == 1 else "none_within", n=n)
    return say("only_by_chance" if n == 1 else "none_by_chance", n=n)


def _chance_title(n_worse: int, n_shown: int) -> Record:
    """The title of the folded slices with more errors, of which n_shown are listed."""
    title = say("maybe_one" if n_worse == 1 else "maybe", n=n_worse)
    if n_shown == n_worse:
        return title
    return say("one_of_them" if n_shown == 1 else "some_of_them", n=n_shown, parts=(title,))


@widgets.stable_container
def _offer_every(n_all: int, n_shown: int, choice: Choice, *, worse: bool) -> None:
    """The way to the slices that are not listed, and back."""
    what = "that have more errors" if worse else "slices"
    label = f"List all {n_all:,} {what}" if choice.distinct else "List only those with errors of their own"
    if not choice.distinct or n_shown < n_all:
        st.button(
            label,
            key="slices_every",
            type="tertiary",
            help=RULE,
            on_click=session.set_url,
            args=(DISTINCT, EVERY if choice.distinct else None),
        )


@widgets.stable_container
def _rows(study: Study, table: pd.DataFrame, choice: Choice, *, mark_chance: bool) -> None:
    slot = st.container()
    span = widgets.page_span(len(table), PAGE, key="slices_page")
    with slot:
        slice_rows(
            study,
            table.iloc[span],
            compared=_compared(choice),
            link=_link,
            key="slices_rows",
            mark_chance=mark_chance,
        )


def _compared(choice: Choice) -> str:
    return "elsewhere" if AGAINST[choice.against] == ALL else "in the rest of its class"


def _link() -> dict[str, str]:
    """Parts of the address without which an opened slice would not be in the table."""
    return {name: text for name in LINKED if (text := session.url_text(name)) is not None}


def _opened(table: pd.DataFrame) -> int | None:
    """The slice of the table that the URL names."""
    asked = session.url_text(SHOWN)
    if asked is None:
        return None
    matches = np.flatnonzero((table["where"] == asked).to_numpy())
    if matches.size:
        return int(matches[0])
    session.set_url(SHOWN, None)
    with suppress(SliceError):  # one that nobody can read is named as it is written
        asked = Slice.parse(asked).describe()
    session.notify(f"“{asked[:80]}” is not among the slices of this filter, so it was closed.")
    return None


@widgets.stable_container
def _chart(study: Study, table: pd.DataFrame, population: Slice, choice: Choice) -> None:
    places = table["where"].tolist()

    def clicked(points: list[dict]) -> None:
        session.set_url(SHOWN, places[int(points[-1]["customdata"][0])])

    verdicts = numbers(reads.images(study), "correct")[reads.mask(study, population)]
    overall = 1 - float(np.nanmean(verdicts))
    worst = table.iloc[0]
    st.markdown(
        f"**{widgets.plain(worst['name'])}**: {widgets.percent(worst['error_rate'], digits=0)} wrong, "
        f"{widgets.percent(worst['rest'], digits=0)} {_compared(choice)}"
    )
    show_chart(
        study,
        WORST_SLICES,
        among=population,
        name="slices_worst",
        shown=WorstSlices(table, overall),
        depends_on=(choice.against, *places),
        on_select=clicked,
    )


@widgets.stable_container
def _table(study: Study, table: pd.DataFrame, population: Slice) -> None:
    places = table["where"].tolist()
    ends = zip(table["low"], table["high"], strict=True)
    intervals = [f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in ends]
    shown = {
        "Slice": table["name"].map(with_class_names),
        "Images": table["n"],
        "Wrong": table["errors"],
        "Error rate": 100 * table["error_rate"],
        "Interval": intervals,
        "Others": 100 * table["rest"],
        "Lift": table["lift"],
        "q": table["q"],
        "The same images": table["also"],
    }
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    compared_with = "Error rate of the images that it is compared with."
    lift = "Its error rate, divided by that of the others."
    described = {
        "Slice": text(width=285),
        "Images": number(width=62),
        "Wrong": number(width=60, help="Its misclassified images."),
        "Error rate": number(format="%.1f %%", width=80),
        "Interval": text(width=90, help=widgets.help_text("slice_accuracy")),
        "Others": number(format="%.1f %%", width=70, help=compared_with),
        "Lift": number(format="%.2f", width=54, help=lift),
        "q": number(format="%.2g", width=70, help=widgets.help_text("worst_slices")),
        "The same images": text(width=114, help="Other names that hold exactly the same images."),
    }
    pick_row(
        pd.DataFrame(shown),
        described,
        lambda row: session.set_url(SHOWN, places[row]),
        key="slices_table",
        alt="The worst slices; select a row to open it",
        height=560,
    )
    download(study, table, population, name="slices_worst_table")


@widgets.stable_container
def _one(study: Study, row: pd.Series, choice: Choice) -> None:
    """An opened slice: its row, and all its images, misclassified ones first."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "All slices", key="slices_back", icon=":material/arrow_back:", on_click=session.set_url,
            args=(SHOWN, None), type="tertiary",
        )  # fmt: skip
        wrong, n_judged = int(row.to_dict()["errors"]), judged(study, row.to_dict())
        st.markdown(f"In this slice, {wrong:,} of {n_judged} are misclassified; these come first")
    slice_rows(study, row.to_frame().T, compared=_compared(choice), link=_link, key="slices_row", pictures=0)
    _images(study, Slice.parse(str(row["where"])), f"images of {row['name']}")


def _images(study: Study, where: Slice, label: str) -> None:
    """The images of a slice, misclassified ones first."""
    widgets.image_gallery(
        study, worst_first(study, where), key="slices_gallery", page_size=TILES, label=label
    )

"""Every session key and every part of the URL; nothing outside this module touches either."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

import numpy as np
import streamlit as st
from streamlit.errors import StreamlitAPIException

from core.errors import PeregrineError, SliceError
from core.measures.slice import Slice
from core.store import Study
from dashboard.state import address, address_parts
from dashboard.state.address import OF_LINKS, STUDY, WHERE
from dashboard.state.pages import HOME, IMAGE_PAGE
from dashboard.state.served_studies import ANSWER, BASIS, answer_query, name_of, split_basis

# Every session key and every part of the URL; nothing outside this folder touches either.
#
# The URL is the state, and a copied one opens the same page: choices of a view are widgets bound to it; all
# else is written with `set_url`. One filter for all views, as a slice's text: `where=split=val label=dog`.


IMAGE = "image"  # query parameter: image_id of the opened image
PICKED = "picked"  # query parameter, repeated: image_ids marked in a gallery
OUTSIDE = " images, outside the filter"  # where the opened image has its place
OF_ANOTHER_BASIS = "The filter by features was dropped: a number means another feature there."
OF_ANOTHER_STUDY = "The filter by features or saved slices was dropped: they are those of the other study."
OWN = {*OF_LINKS, IMAGE, PICKED}  # parts of the URL of no widget of a view
LEFT = {  # parts of old links, of switches that no page has any more: dropped without a note
    *("slices_kinds", "twins_order", "features_log", "overlap_score", "quality_metric", "quality_shown"),
    *("images_size", "heat_size", "overlap_look_size", "group_size", "group_diagonal", "concept_beside"),
    *("heat_opacity", "overlap_look_opacity", "beside_opacity", "detail_opacity"),
    *("heat_colours", "overlap_look_colours", "beside_colours", "detail_colours"),
    *("groups_panels", "overlap_images", "overlap_order", "compare_appear", "figures_kind"),
}

OF_SEARCH = ("search", "search_captions", "like", "like_space", "picture")
WITH_SEARCH = ("images", "map")  # pages that search, by these parts of the address

CURRENT = "_current_study"  # None where there is none
_NOTES = "_notes"
_TOLD = "_told"
_AMONG = "_image_among"
_SEEN = "_seen_among"  # by page and study: the image that was opened there last, and its rows
_PAGE = "_page"
_DRAWN = "_drawn"  # page and study whose widgets the browser holds
_TURNS = "_turns"  # by widget: how often another one took its place
_SENT, _ON_ITS_WAY = "_sent", "_on_its_way"  # values of widgets, by this run and by the last one
_EMPTY: dict[type, Any] = {str: "", list: [], int: 1}  # of bound widgets: a text, some of many, a page
_PLAIN = (str, int, float, bool, list, tuple)  # types of the values of widgets
_TARGET = "_target"
_LINK = "_link"
_NOTED = "_noted"
_READ = "_read_from_url"
_SEARCH = "_search"  # `Search` of the last run of a page with the field
_SWITCHED = "_switched"  # another study was chosen, and its page was not drawn yet: nobody's link is wrong


def current_study() -> Study:
    """The study of this run. Views call it first; `main.py` has opened it before a view runs."""
    return st.session_state[CURRENT]


def set_current_study(study: Study | None) -> None:
    """Called by `main.py` alone, once per run, before the view."""
    st.session_state[CURRENT] = study


def url_text(name: str) -> str | None:
    """One part of the query string, or None. For parts that no widget is bound to."""
    st.session_state.setdefault(_READ, set()).add(name)
    return address.query().get(name)


def url_int(name: str, *, below: int, what: str) -> int | None:
    """A whole number in [0, below) from the query string; anything else is dropped with a note.

    `what` names the thing in that note: "feature" gives "There is no feature 900 in this study."
    """
    text = url_text(name)
    if text is None:
        return None
    if text.isdecimal() and len(text) < 12 and int(text) < below:
        return int(text)
    set_url(name, None)
    _noted().add(name)
    notify(f"There is no {what} {text[:40]!r} in this study, so that part of the link was dropped.")
    return None


def set_url(name: str, value: str | int | Sequence[str] | None) -> None:
    """Write one part of the query string (None or an empty sequence removes it)."""
    several = value or () if not isinstance(value, str | int) else (value,)
    values = [str(one) for one in several]
    address.write(name, values)


def filter_text() -> str:
    """The filter of the images, as a slice's text form; empty for none."""
    return url_text(WHERE) or ""


def set_filter(text: str) -> None:
    """Replace the filter of the images on every page."""
    set_url(WHERE, text or None)


@dataclass(frozen=True)
class Target:
    """A page to go to, and its query string."""

    page: str
    query: dict[str, Any]


def go(page: str, study: str | Study | None = None, **parts: str | list[str]) -> None:
    """Go to another page with the same study and filter, before the next run. Meant for callbacks.

    page: a name in `dashboard.state.pages`. study: as for `link_query`; None: of this page. parts:
    further parts of its address.
    """
    st.session_state.pop(_AMONG, None)
    st.session_state[_TARGET] = Target(
        page, page_query(page, study or st.session_state.get(STUDY), parts=parts)
    )


@dataclass(frozen=True)
class Search:
    """What is searched for, as parts of the address, in one study and filter."""

    study: str
    where: str
    parts: dict[str, list[str]]


def enter_search() -> None:
    """Remember what is searched for, until it is cleared or another page has another study or filter.

    Links to pages that search take it along (`page_query`). Called by `main.py` alone, once per run, before
    links are drawn.
    """
    page, study = here()
    where, search = filter_text(), recall(_SEARCH)
    if page in WITH_SEARCH:
        query = address.query()
        parts = {name: query.get_all(name) for name in OF_SEARCH if name in query}
        st.session_state[_SEARCH] = Search(study, where, parts)
    elif search is not None and (search.study, search.where) != (study, where):
        st.session_state[_SEARCH] = None


def page_query(
    page: str, study: str | Study | None, where: str | None = None, parts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Query string of a link to a page: of `link_query`, with `parts`; where there are none, with what is
    searched for in that study and filter.
    """
    query, search = link_query(study, where), recall(_SEARCH)
    if parts or page not in WITH_SEARCH or search is None:
        return query | dict(parts or {})
    is_same = (search.study, search.where) == (query.get(STUDY), query.get(WHERE, ""))
    return query | (search.parts if is_same else {})


def is_leaving() -> bool:
    """Return True when this run asked for a page with `go`, which a part of a page cannot go to by itself."""
    return st.session_state.get(_TARGET) is not None


def take_target() -> Target | None:
    """The page that `go` asked for, once; its query is all that counts. Called by `main.py` alone."""
    target = st.session_state.pop(_TARGET, None)
    if target is not None:
        address.forget()
    return target


def href(page: str, study: str | Study | None, **parts: str) -> str:
    """The address of another page with the same study and filter, for a link in the browser."""
    return f"/{page}?{urlencode(page_query(page, study, parts=parts), doseq=True)}"


def link_query(study: str | Study | None, where: str | None = None) -> dict[str, str]:
    """Query string of a link to a page: the study and the filter (by default the present one).

    study: as it is read there; by its name, the study of this page is read as it is here, and others by their
    default.
    """
    name, basis = split_basis(name_of(study) if isinstance(study, Study) else study or "")
    is_here = name == st.session_state.get(STUDY)
    if where is None:
        where = filter_text() if is_here else _elsewhere()
    answer = url_text(ANSWER) if is_here else None
    if isinstance(study, Study):
        answer = answer or answer_query(study).get(ANSWER)
    elif is_here:
        basis = basis or url_text(BASIS) or ""
    query = {STUDY: name, WHERE: where, ANSWER: answer, BASIS: basis}
    return {part: text for part, text in query.items() if text}


def enter_page(page: str) -> None:
    """Remember for `leave_page` what a link asks for. Called by `main.py` alone, before the view."""
    _send_again()
    # Streamlit reports no navigation. Only on another page than before is the address somebody's link.
    if st.session_state.get(_PAGE) != page:
        query = address.query()
        st.session_state[_NOTED] = set()
        st.session_state[_LINK] = {name: query.get_all(name) for name in query}
    st.session_state[_PAGE] = page


def enter_study(names: Sequence[str]) -> str:
    """Return the study of this run: the one in the address, else the last one, else the first; the address
    names it from then on. Called by `main.py` alone, once per run, before the selector is drawn.
    """
    asked, last = url_text(STUDY), st.session_state.get(STUDY)
    name = next((one for one in (asked, last) if one in names), None) or names[0]
    if asked != name:
        set_url(STUDY, name)
    if asked not in (None, name):
        notify(f"There is no study {asked[:60]!r} here; the link opened another one.")
    if last != name:
        st.session_state[STUDY] = name
        st.session_state.pop(_AMONG, None)  # rows of the other study
    return name


def leave_page() -> None:
    """Note which parts of a link were left out, and drop those that nothing here knows. For `main.py`."""
    st.session_state[_DRAWN] = here()
    st.session_state.pop(_SWITCHED, None)
    for name in address.drawn() & st.session_state.keys():
        st.session_state.setdefault(_SENT, {})[name] = st.session_state[name]
    # Which widgets a view draws is known only after it ran. Popped: the next run has no link to explain.
    link = st.session_state.pop(_LINK, None)
    for name, asked in (link or {}).items():
        widget = name in st.session_state
        # Parts of all pages, parts already explained, and parts that the view read without a widget.
        if name in OWN or name in _noted() or (not widget and name in st.session_state.get(_READ, ())):
            continue
        if not widget:  # Streamlit keeps unknown parts of an address for ever
            set_url(name, None)
            if name not in LEFT:
                notify(f"This page knows nothing of {name[:40]!r}, so that part of the link was dropped.")
        # A widget that got a value which it cannot hold falls back to its default without a word.
        elif address.query().get_all(name) != asked and not _same(st.session_state[name], asked):
            values = ", ".join(asked)[:60]
            notify(f"{name[:40]!r} cannot be {values!r} here, so that part of the link was dropped.")


def _noted() -> set[str]:
    return st.session_state.setdefault(_NOTED, set())


def _same(value: Any, asked: list[str]) -> bool:
    """Return True when a widget holds what the link says; a default value is not kept in the address."""
    parts = value if isinstance(value, list | tuple) else [value]

    def plain(part: Any) -> str:
        try:
            return f"{float(part):g}"
        except (TypeError, ValueError):
            return str(part).casefold()

    return [plain(part) for part in parts] == [plain(part) for part in asked]


def show_in_widget(widget: str, value: object, changed: Callable[[Any], None]) -> dict[str, Any]:
    """Return the `key` and the `on_change` with which a widget shows what the URL says. Meant for before the
    widget is drawn; `changed` gets what the reader chooses in it.

    The browser may hear of a value after its reader has clicked something else, and that click brings along
    the widget's value of before, as if the reader had set it. So a widget that is to show another value than
    it does is another widget, of another key: what the browser says of the one before counts no more. Give it
    the same value as its default: where the browser skips a run, it never heard of this one.
    """
    turns = st.session_state.setdefault(_TURNS, {})
    key = key_now(widget)
    if key in st.session_state and st.session_state[key] != value:
        turns[widget] = turns.get(widget, 0) + 1
        key = key_now(widget)
    # On another page, or for another study, the browser's widget is a new one, and has to be told.
    if st.session_state.get(_DRAWN) != here() or key not in st.session_state:
        st.session_state[key] = value

    def taken() -> None:
        if key == key_now(widget):
            changed(st.session_state[key])

    return {"key": key, "on_change": taken}


def key_now(widget: str) -> str:
    """The key under which `show_in_widget` shows a widget at present."""
    turn = st.session_state.get(_TURNS, {}).get(widget)
    return f"{widget}_{turn}" if turn else widget


def here() -> tuple[Any, Any]:  # page and study of this run
    return st.session_state.get(_PAGE), st.session_state.get(STUDY)


def drop_unknown(name: str, options: Iterable[str]) -> list[str]:
    """What a part of the link names among the options; of anything else it says that it is not there."""
    allowed, linked = set(options), address.query().get_all(name)
    st.session_state.setdefault(_READ, set()).add(name)
    for text in linked:
        if text not in allowed:
            _noted().add(name)
            if is_switched():
                continue
            notify(f"There is no {text[:60]!r} here, so that part of the link was dropped.")
    return [text for text in linked if text in allowed]


def set_widget(widget: str, value: object) -> None:
    """Set a widget by its key. Meant for callbacks: after the widget was drawn it is too late in a run."""
    st.session_state[widget] = value
    st.session_state.setdefault(_SENT, {})[widget] = value


def _send_again() -> None:
    """Send the browser once more what its widgets hold where they did not take what the last run sent them.

    They hold what they held before it reached them, or what the reader chose since: the page is drawn with it
    in either case, and the widget shall not show what is still on its way.
    """
    for widget, value in st.session_state.pop(_ON_ITS_WAY, {}).items():
        if widget in st.session_state and not _equal(st.session_state[widget], value):
            set_widget(widget, st.session_state[widget])
    st.session_state[_ON_ITS_WAY] = st.session_state.pop(_SENT, {})


def _equal(one: object, other: object) -> bool:
    return one is other or (isinstance(one, _PLAIN) and type(one) is type(other) and one == other)


def choose_study(name: str | None) -> None:
    """Show another study (None: there is none), without what the address says of this one. Meant for
    callbacks.
    """
    close_image()
    drop_parts(address_parts.FEATURES, address_parts.STUDY)
    drop_conditions(OF_ANOTHER_STUDY)
    set_url(STUDY, name)
    st.session_state[STUDY] = name
    st.session_state[_SWITCHED] = True
    if name and here()[0] == IMAGE_PAGE:  # the other study may not hold the image
        go(HOME)


def go_to_study(name: str) -> None:
    """Go to the first page of a study, and all of its images. Meant for callbacks."""
    set_filter("")
    choose_study(name)
    go(HOME)


def is_switched() -> bool:
    """Return True in the run that is the first of a study which was chosen on this page."""
    return bool(st.session_state.get(_SWITCHED))


def drop_parts(*owners: str) -> None:
    """Take the parts of some owners (`address_parts.owner`) out of the address. Meant for callbacks."""
    for name in [one for one in address.query() if address_parts.owner(one) in owners]:
        try:
            set_url(name, None)
        except StreamlitAPIException:  # a widget is bound to it, and writes it
            set_widget(name, _EMPTY[type(st.session_state[name])])


def drop_conditions(why: str, *, keeps_saved: bool = False) -> None:
    """Take out of the filter what it says of features and, unless it `keeps_saved`, of saved slices, and note
    why. Meant for callbacks.
    """
    if (where := _elsewhere(keeps_saved=keeps_saved)) != filter_text():
        set_filter(where)
        notify(why)


def _elsewhere(*, keeps_saved: bool = False) -> str:
    """The filter for another study: numbers mean other features there, and names may mean other slices."""
    try:
        where = Slice.parse(filter_text())
    except SliceError:  # the next run drops it
        return filter_text()
    elsewhere = replace(where, fires=(), saved=where.saved if keeps_saved else ())
    return filter_text() if elsewhere == where else str(elsewhere)


def recall(name: str, default: Any = None) -> Any:
    """Return the value that `set_widget` stored under this name in this session, or the default."""
    return st.session_state.get(name, default)


def value(widget: str) -> Any:
    """Return the present value of a widget. Meant for its own callback."""
    return st.session_state[widget]


def selected_rows(table: str) -> list[int]:
    """The rows selected in a dataframe with this key, as positions in the frame that was shown."""
    return list(st.session_state[table]["selection"]["rows"])


def notify(text: str) -> None:
    """Queue a line that is shown once at the top of the page (a stale part of a link, for instance)."""
    if text not in (notes := st.session_state.setdefault(_NOTES, [])):
        notes.append(text)


def pop_notices() -> list[str]:
    """The queued lines, emptied."""
    return st.session_state.pop(_NOTES, [])


def toast(text: str) -> None:
    """Say in a corner of the window what was just done, for a few seconds. Meant for callbacks."""
    st.session_state[_TOLD] = text


def pop_toast() -> str | None:
    """Return the sentence of the last `toast`, and forget it. Called by `main.py` alone."""
    return st.session_state.pop(_TOLD, None)


def open_image(study: Study, row: int, among: np.ndarray | None = None) -> None:
    """Open the detail of one image; `among` are the rows that the arrow keys walk through.

    Meant for callbacks (of a gallery or a button); elsewhere follow it with `st.rerun()`.
    """
    set_url(IMAGE, study.column("images", "image_id").iat[row])
    st.session_state[_AMONG] = None if among is None else np.asarray(among, dtype=np.int64)


def close_image() -> None:
    set_url(IMAGE, None)
    st.session_state.pop(_AMONG, None)
    st.session_state.setdefault(_SEEN, {}).pop(here(), None)


@dataclass(frozen=True)
class OpenedImage:
    """The image whose detail is open, and its place in the gallery it was opened from."""

    row: int
    previous: int | None
    following: int | None
    position: str


def opened_image(study: Study, *otherwise: np.ndarray) -> OpenedImage | None:
    """The image named in the URL; one that this study does not hold is dropped with a note.

    otherwise: the rows among which it has its place where it was opened by a link, the first that hold it;
        where none does, all.
    """
    row = _row_in_url(study)
    if row is None:
        return None
    seen = st.session_state.setdefault(_SEEN, {})
    if (among := st.session_state.get(_AMONG)) is not None:
        seen[here()] = row, among
    elif seen.get(here(), (None,))[0] == row:  # the browser's back button leads to it again
        among = st.session_state[_AMONG] = seen[here()][1]
    lists = (*(() if among is None else (among,)), *otherwise)
    among = next((rows for rows in lists if row in rows), None)
    is_outside = among is None and bool(otherwise and filter_text())
    if among is None:
        among = np.arange(study.n_images)
    at = int(np.flatnonzero(among == row)[0])
    return OpenedImage(
        row=row,
        previous=int(among[at - 1]) if at > 0 else None,
        following=int(among[at + 1]) if at + 1 < len(among) else None,
        position=f"{at + 1:,} of {len(among):,}{OUTSIDE * is_outside}",
    )


def step_image(study: Study, row: int) -> None:
    """Move the open detail to another image and keep the list it walks through."""
    set_url(IMAGE, study.column("images", "image_id").iat[row])


def rows_held(study: Study, image_ids: Iterable[str]) -> list[int]:
    """Rows of image ids; ids that this study does not hold are left out."""
    names = list(image_ids)
    rows = study.rows_held(names) if names else {}
    return [rows[name] for name in names if name in rows]


def _row_in_url(study: Study) -> int | None:
    name = url_text(IMAGE)
    row = None if name is None else study.rows_held([name]).get(name)
    if name is not None and row is None:
        set_url(IMAGE, None)
        notify(f"This study holds no image {name[:80]!r}, so that part of the link was dropped.")
    return row


# Problems with typed text, from the run that tried it to the one that shows them.


_PROBLEMS = "_problems"


def keep_problem(of: str, reason: str | None) -> None:
    """Remember why what was typed somewhere cannot be used, or (None) that it now can."""
    st.session_state.setdefault(_PROBLEMS, {})[of] = reason


def problem_of_text(of: str) -> str | None:
    """Return why the text typed there cannot be used."""
    return st.session_state.get(_PROBLEMS, {}).get(of)


def take_problem(of: str) -> str | None:
    """Return that reason and forget it."""
    return st.session_state.get(_PROBLEMS, {}).pop(of, None)


def attempt(of: str, act: Callable[[], object], then: Callable[[], object] = lambda: None) -> None:
    """Act, and go on with `then`; where that is not possible, the reason is kept. Meant for callbacks."""
    try:
        act()
    except PeregrineError as error:
        keep_problem(of, str(error))
    else:
        then()


# The images that are marked in a gallery: in this session all, in the link the first.


MAX_PICKED = 60  # more would make a URL nobody can paste
_PICKED = "_picked"  # all marked images


def picked_rows(study: Study) -> list[int]:
    """Rows of the images marked in a gallery; ids that this study does not hold are left out."""
    linked = address.query().get_all(PICKED)
    marked = st.session_state.get(_PICKED, [])
    return rows_held(study, marked if marked[:MAX_PICKED] == linked else linked)


def pick_rows(study: Study, rows: Sequence[int]) -> None:
    """Replace the marked images; the link names the first MAX_PICKED, this session knows all."""
    names = [str(study.column("images", "image_id").iat[row]) for row in rows]
    st.session_state[_PICKED] = names
    set_url(PICKED, names[:MAX_PICKED])


# The address of a page as a saved view keeps it: of any study, so without its name and basis.


_QUERY = "_query_asked"


def view_address() -> str:
    """The page as it is now: its name and its query."""
    parameters = {
        name: address.query().get_all(name) for name in address.query() if name not in (STUDY, BASIS)
    }
    page, query = here()[0], urlencode(parameters, doseq=True)
    return f"{page}?{query}" if query else page


def go_to_view(address: str) -> None:
    """Go to an address of `address` in the present study, before the next run. Meant for callbacks."""
    page, _, text = address.partition("?")
    query = parse_qs(text)
    if page != here()[0]:
        return go(page, None, **({WHERE: ""} | query))
    # Only the browser can put widgets that it holds back to what they are where an address leaves them out.
    study = link_query(recall(STUDY), "")
    st.session_state[_QUERY] = urlencode(study | query, doseq=True)


def take_query() -> str:
    """The query of the present page that the browser is to go to, once; "" for none. For the sidebar."""
    return st.session_state.pop(_QUERY, "")


def told_to_widgets(query: Mapping[str, Any]) -> dict[str, Any]:
    """Set the widgets of the present page that a query names, and reset those that it leaves out; return the
    other parts. Streamlit refuses these in an address that a script writes. Meant for before a page is drawn.
    """
    rest = dict(query)
    for name in {*rest, *address.query()} - OWN:
        if name in st.session_state and name in rest:
            set_widget(name, _value(st.session_state[name], rest.pop(name)))
        elif name in st.session_state:
            del st.session_state[name]
    return rest


def _value(present: Any, asked: str | list[str]) -> Any:
    """What an address asks for, of the type of the widget's present value; that value where it cannot be."""
    texts = [asked] if isinstance(asked, str) else asked
    if isinstance(present, list | tuple):
        return texts
    if isinstance(present, bool):
        return texts[-1] == "true"
    if not isinstance(present, int | float):
        return texts[-1]
    try:
        return type(present)(texts[-1])
    except ValueError:
        return present

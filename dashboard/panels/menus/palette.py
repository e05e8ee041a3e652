"""Go to anything by its name: a page, a class, a feature, a saved slice, an image. Ctrl+K opens it."""

from collections.abc import Callable

import streamlit as st

from core.charts.registry import CHARTS
from core.common.captions import with_class_names
from core.common.formatting import counted
from core.errors import PeregrineError
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses.pages import PAGES
from dashboard.cache import reads, search_reads, slice_reads
from dashboard.components import widgets
from dashboard.panels import saved_slices
from dashboard.panels.menus import saved_views
from dashboard.state import session, view_address

OPEN, CHOICE = "_palette", "palette_choice"
MOST_IMAGES = 2000  # in a study whose images' names are completed
NAMED, MOST_NAMED = "_palette_named", 24  # a part of the names of several images, which are offered
OF_PAPERS: dict[str, tuple[str, dict[str, str]]] = {  # where figures of papers are, by their chart
    "sorted_activation": ("features", {"features_as": "Plot"}),
    "class_representations": ("heatmaps", {"heat_part": "Mean representations"}),
    "q_distribution": ("predicting_errors", {}),
    "heatmaps": ("heatmaps", {}),
    "miou": ("masks", {}),
}
KINDS = ("", "Class ", "View ", "Slice ")  # what stands before a name
Go = Callable[[], None]


def button() -> None:
    """The button of the sidebar."""
    st.button(
        "Go to …",
        icon=":material/search:",
        shortcut="Ctrl+K",
        key="palette_open",
        width="stretch",
        help="A page, class, feature, saved slice or image by its name",
        on_click=_open,
    )


def _open() -> None:
    session.set_widget(NAMED, None)
    session.set_widget(OPEN, True)


def is_open() -> bool:
    """Whether the dialog is open; a page has only one at a time."""
    return bool(session.recall(OPEN))


@st.dialog("Go to", on_dismiss=lambda: session.set_widget(OPEN, None))
def search_palette(study: Study) -> None:
    """The dialog."""
    if session.recall(OPEN) is None:  # something was chosen: leave, and go there
        st.rerun()
    places = _places(study)
    st.selectbox(
        "A page, class, feature, saved slice or image",
        list(places),
        index=None,
        key=CHOICE,
        placeholder="Type a name, a number or words to search for",
        accept_new_options=True,
        filter_mode="contains",
        on_change=_go,
        args=(study, places),
        label_visibility="collapsed",
    )
    if text := session.recall(NAMED):
        _images_named(study, text)
    else:
        st.caption(
            "Enter goes to what has this name, then to images with it in theirs; "
            "anything else is searched for in the images."
        )


def _images_named(study: Study, text: str) -> None:
    """The images that have a text in their names, and the search that it may have been meant for."""
    rows = search_reads.rows_named(study, text)
    shown = rows[:MOST_NAMED]
    more = f"; these are the first {MOST_NAMED}" if len(rows) > MOST_NAMED else ""
    of = widgets.plain(text)
    st.caption(f"{counted(len(rows), 'image')} with “{of}” in the name{more}.")
    names = study.column("images", "image_id")
    widgets.image_gallery(
        study,
        shown,
        key="palette_images",
        tile=96,
        captions={int(row): (str(names.iat[row]).rpartition("/")[2],) for row in shown},
        label=f"images with {text} in the name",
        on_open=lambda row: _leave(lambda: _to_image(study, row)),
    )
    st.button(
        f"Search the images for “{of}”",
        icon=":material/image_search:",
        key="palette_search",
        type="tertiary",
        on_click=_leave,
        args=(lambda: session.go("images", search=text),),
    )


def _leave(go: Go) -> None:
    """Close the dialog and go."""
    session.set_widget(OPEN, None)
    go()


def _to_image(study: Study, row: int) -> None:
    session.go("image", image=str(study.column("images", "image_id").iat[row]))


def _places(study: Study) -> dict[str, Go]:
    """What can be gone to, by what it is called."""
    destinations: dict[str, Go] = {
        page.title: lambda name=page.name: session.go(name) for page in PAGES.values() if page.group
    }
    destinations |= {
        f"{CHARTS[chart].source}: {CHARTS[chart].title}": lambda to=to: session.go(to[0], **to[1])
        for chart, to in OF_PAPERS.items()
    }
    for label in study.class_names:
        destinations[f"Class {with_class_names(label)}"] = lambda label=label: _filtered(
            "features", str(Slice(labels=(label,)))
        )
    for name, address in saved_views.known(study).items():
        destinations[f"View {name}"] = lambda address=address: view_address.go_to(address)
    for name in saved_slices.names(study):
        destinations[f"Slice {name}"] = lambda name=name: _filtered(
            "images", saved_slices.applied(study, name)
        )
    features: dict[str, Go] = {
        name: lambda number=number: session.go("feature", feature=str(number))
        for number, name in slice_reads.names_by_feature(study).items()
    }
    places = {with_class_names(name): go for name, go in destinations.items()}  # an option is no Markdown
    images = {name: go for name, go in _image_places(study).items() if name not in places}
    return places | images | {with_class_names(name): go for name, go in features.items()}


def _image_places(study: Study) -> dict[str, Go]:
    """The images by their names, before the features, of which many hold a class that is in such a name, too;
    of a large study none, as the browser would be sent all of them.
    """
    names = study.column("images", "image_id")
    if len(names) > MOST_IMAGES:
        return {}
    return {str(name): lambda row=row: _to_image(study, row) for row, name in enumerate(names)}


def _filtered(page: str, where: str) -> None:
    session.set_filter(where)
    session.go(page)


def _go(study: Study, places: dict[str, Go]) -> None:
    text = str(session.value(CHOICE) or "").strip()
    session.set_widget(CHOICE, None)
    session.set_widget(NAMED, None)
    if not text:
        return
    if (go := _by_name(places, text)) is not None:
        _leave(go)
    elif (row := _image(study, text)) is not None:
        _leave(lambda: _to_image(study, row))
    elif (number := _feature(study, text)) is not None:
        _leave(lambda: session.go("feature", feature=str(number)))
    elif len(rows := search_reads.rows_named(study, text)) == 1:
        _leave(lambda: _to_image(study, int(rows[0])))
    elif len(rows):
        session.set_widget(NAMED, text)
    else:
        _leave(lambda: session.go("images", search=text))


def _by_name(places: dict[str, Go], text: str) -> Go | None:
    """Enter takes what was typed, before any option: in another case than the name, or without its kind.

    >>> _by_name({"Feature 3 (cat)": print, "Class cat": input}, "Cat") is input
    True
    """
    by_name = {name.casefold(): go for name, go in places.items()}
    called = (f"{kind}{text}".casefold() for kind in KINDS)
    return places.get(text) or next((by_name[name] for name in called if name in by_name), None)


def _image(study: Study, text: str) -> int | None:
    try:
        return study.row_of(text)
    except PeregrineError:
        return None


def _feature(study: Study, text: str) -> int | None:
    """The feature of this number; "000012" is part of a file's name instead."""
    number = text.casefold().removeprefix(study.feature_kind.casefold()).strip().removeprefix("#")
    is_feature = number.isdecimal() and str(int(number)) == number and study.has("features")
    n_features = len(reads.table(study, "features", ("feature",))) if is_feature else 0
    return int(number) if is_feature and int(number) < n_features else None

"""Go to anything by its name: an image, page, class, view, slice, study or feature. Ctrl+K opens it."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from core.charts.registry import CHARTS
from core.common.captions import with_class_names
from core.common.records import Templates
from core.concepts.search import SHORTEST
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.store import Study
from core.study.write_access import guest_is_asking
from dashboard.cache import reads, search_reads, slice_reads
from dashboard.components import widgets
from dashboard.panels import saved_slices, traces
from dashboard.panels.saved_views import known_views
from dashboard.state import served_studies, session
from dashboard.state.pages import PAGES

OPEN, CHOICE = "_palette", "palette_choice"
MOST_IMAGES = 2000  # in a study whose images' names are completed
NAMED = "_palette_named"  # a part of names, of which the dialog lists what has it
MOST_NAMED, MOST_PLACES = 24, 12  # images, and other things, that are listed
OF_PAPERS: dict[str, tuple[str, dict[str, str]]] = {  # where figures of papers are, by their chart
    "sorted_activation": ("features", {"features_as": "Plot"}),
    "class_representations": ("heatmaps", {"heat_part": "Mean representations"}),
    "q_distribution": ("predicting_errors", {}),
    "heatmaps": ("heatmaps", {}),
    "miou": ("masks", {}),
}
PARTS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("palette_parts.toml").read_text(encoding="utf-8")
)
KINDS = ("", "Class ", "View ", "Slice ", "Study ")  # what stands before a name
KEYS = "Enter goes to the first name that has the text; a text that no name has searches the images."
NOTES = "Note and tags of this image"
say = Templates.beside(__file__)
Go = Callable[[], None]


@dataclass(frozen=True)
class Place:
    """Something that can be gone to, with its icon."""

    icon: str
    go: Go


def palette_button() -> None:
    """The button of the sidebar."""
    st.button(
        "Go to …",
        icon=":material/search:",
        shortcut="Ctrl+K",
        key="palette_open",
        width="stretch",
        help="An image, page, class, feature, saved slice or study by its name",
        on_click=_open_palette,
    )


def _open_palette() -> None:
    session.set_widget(NAMED, None)
    session.set_widget(OPEN, True)


def palette_is_open() -> bool:
    """Whether the dialog is open; a page has only one at a time."""
    return bool(session.recall(OPEN))


@st.dialog("Go to", on_dismiss=lambda: session.set_widget(OPEN, None))
def search_palette(study: Study) -> None:
    """The dialog."""
    if session.recall(OPEN) is None:  # something was chosen: leave, and go there
        st.rerun()
    options = _options(study)
    st.selectbox(
        "An image, page, class, feature, saved slice or study",
        list(options),
        index=None,
        key=CHOICE,
        placeholder="Type a name, a number or words to search for",
        accept_new_options=True,
        filter_mode="contains",
        on_change=_go_to,
        args=(study, options),
        label_visibility="collapsed",
    )
    if text := session.recall(NAMED):
        _listed(study, text)
    else:
        st.caption(KEYS)


def _listed(study: Study, text: str) -> None:
    """What has a text in its name, images first, and the search that it may have been meant for."""
    rows, places = search_reads.rows_named(study, text), _places_named(study, text)
    what = widgets.plain(text)
    if len(rows):
        _images_named(study, rows, text)
    if listed := list(places)[:MOST_PLACES]:
        kind = "places" if len(listed) == len(places) else "first_places"
        st.caption(say(kind, n=len(listed), of=len(places), what=what))
        with st.container(gap=None, key="palette_places"):
            for number, name in enumerate(listed):
                st.button(
                    widgets.plain(name),
                    icon=places[name].icon,
                    key=f"palette_place_{number}",
                    type="tertiary",
                    on_click=_leave,
                    args=(places[name].go,),
                )
    st.button(
        f"Search the images for “{what}”",
        icon=":material/image_search:",
        key="palette_search",
        type="tertiary",
        on_click=_leave,
        args=(partial(session.go, "images", search=text),),
    )


def _images_named(study: Study, rows: np.ndarray, text: str) -> None:
    shown = rows[:MOST_NAMED]
    kind = "images" if len(shown) == len(rows) else "first_images"
    st.caption(say(kind, n=len(shown), of=len(rows), what=widgets.plain(text)))
    names = study.column("images", "image_id")
    widgets.image_gallery(
        study,
        shown,
        key="palette_images",
        tile=96,
        captions={int(row): (str(names.iat[row]).rpartition("/")[2],) for row in shown},
        label=f"images with {text} in the name",
        unmarked=shown[reads.answer_has_seen(study)[shown]].tolist(),
        on_open=lambda row: _leave(partial(_to_image, study, row)),
    )


def _leave(go: Go) -> None:
    """Close the dialog and go."""
    session.set_widget(OPEN, None)
    go()


def _to_image(study: Study, row: int) -> None:
    session.go("image", image=str(study.column("images", "image_id").iat[row]))


def _options(study: Study) -> dict[str, Place]:
    """What the field completes, by name."""
    places = _notes_place(study) | _places(study)
    images = {name: place for name, place in _image_places(study).items() if name not in places}
    return places | images | _feature_places(study)


def _notes_place(study: Study) -> dict[str, Place]:
    """The fields of the image that is open, which many stops of the Tab key come before."""
    if (opened := session.opened_image(study)) is None or guest_is_asking():
        return {}
    return {NOTES: Place(":material/edit_note:", partial(_to_notes, study, opened.row))}


def _to_notes(study: Study, row: int) -> None:
    _to_image(study, row)
    traces.open_fields_of_image(str(study.column("images", "image_id").iat[row]))


def _places(study: Study) -> dict[str, Place]:
    """What can be gone to beside images and features, by what it is called."""
    places = {
        page.title: Place(page.icon, partial(session.go, page.name)) for page in PAGES.values() if page.group
    }
    places |= {
        name: Place(PAGES[part["page"]].icon, partial(session.go, part["page"], **part["parts"]))
        for name, part in PARTS.items()
    }
    places |= {
        f"{CHARTS[chart].source}: {CHARTS[chart].title}": Place(
            PAGES[page].icon, partial(session.go, page, **parts)
        )
        for chart, (page, parts) in OF_PAPERS.items()
    }
    places |= {
        f"Class {with_class_names(label)}": Place(
            ":material/label:", partial(_filtered, "features", str(Slice(labels=(label,))))
        )
        for label in study.class_names
    }
    places |= {
        f"View {name}": Place(":material/bookmarks:", partial(session.go_to_view, address))
        for name, address in known_views(study).items()
    }
    places |= {
        f"Slice {name}": Place(
            ":material/bookmark:", partial(_filtered, "images", saved_slices.applied(study, name))
        )
        for name in saved_slices.names(study)
    }
    places |= {
        f"Study {entry.name}": Place(":material/database:", partial(session.go_to_study, entry.name))
        for entry in served_studies.entries(served_studies.studies_folder())
    }
    return {with_class_names(name): place for name, place in places.items()}  # an option is no Markdown


def _feature_places(study: Study) -> dict[str, Place]:
    return {
        with_class_names(name): Place(
            PAGES["feature"].icon, partial(session.go, "feature", feature=str(number))
        )
        for number, name in slice_reads.names_by_feature(study).items()
    }


def _image_places(study: Study) -> dict[str, Place]:
    """The images by their names, before the features, of which many hold a class that is in such a name, too;
    of a large study none, as the browser would be sent all of them.
    """
    names = study.column("images", "image_id")
    if len(names) > MOST_IMAGES:
        return {}
    icon = PAGES["image"].icon
    return {str(name): Place(icon, partial(_to_image, study, row)) for row, name in enumerate(names)}


def _filtered(page: str, where: str) -> None:
    session.set_filter(where)
    session.go(page)


def _go_to(study: Study, options: dict[str, Place]) -> None:
    text = str(session.value(CHOICE) or "").strip()
    session.set_widget(CHOICE, None)
    session.set_widget(NAMED, None)
    if not text:
        return
    if (place := _by_name(options, text)) is not None:
        return _leave(place.go)
    if (row := _image(study, text)) is not None:
        return _leave(partial(_to_image, study, row))
    if (number := _feature(study, text)) is not None:
        return _leave(partial(session.go, "feature", feature=str(number)))
    rows, places = search_reads.rows_named(study, text), _places_named(study, text)
    if len(rows) == 1:
        return _leave(partial(_to_image, study, int(rows[0])))
    if len(places) == 1 and not len(rows):
        return _leave(next(iter(places.values())).go)
    if len(rows) or places:
        return session.set_widget(NAMED, text)
    return _leave(partial(session.go, "images", search=text))


def _by_name(options: dict[str, Place], text: str) -> Place | None:
    """Enter takes what was typed, before any option: in another case than the name, or without its kind.

    >>> _by_name({"Feature 3 (cat)": Place("", print), "Class cat": Place("", input)}, "Cat").go is input
    True
    """
    by_name = {name.casefold(): place for name, place in options.items()}
    called = (f"{kind}{text}".casefold() for kind in KINDS)
    return options.get(text) or next((by_name[name] for name in called if name in by_name), None)


def _places_named(study: Study, text: str) -> dict[str, Place]:
    """What has a text in its name, whatever the case of letters, without images."""
    part = text.casefold()
    if len(part) < SHORTEST:
        return {}
    places = _places(study) | _feature_places(study)
    return {name: place for name, place in places.items() if part in name.casefold()}


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

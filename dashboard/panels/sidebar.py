"""The sidebar: the study, the pages, its menus, and "go to anything by its name"."""

from collections.abc import Callable, Mapping
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts.registry import CHARTS
from core.common.captions import with_class_names
from core.common.formatting import counted, format_bytes
from core.common.inside import bytes_below
from core.encoders.readout import encoder_title
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.store import Study
from core.study import study_folders, trace_changes, trace_limits
from core.study.jobs import read_job
from core.study.write_access import guest_is_asking
from dashboard.cache import reads, search_reads, slice_reads
from dashboard.components import widgets
from dashboard.components.page_behaviour import (
    copy_link_button,
    fold_when_narrow,
    page_behaviour,
    theme_switch,
)
from dashboard.components.tooltips import plain
from dashboard.components.widgets import problem_of
from dashboard.panels import saved_slices
from dashboard.state import my_figures, served_studies, session
from dashboard.state.pages import ALSO_WITHOUT_STUDY, GROUPS, HOME, NEW_STUDY, PAGES, Page

# Saved views in the sidebar: the page as it is now, kept under a name for everyone who opens the study.


VIEW_NAME, VIEW_OF = "view_name", "views"  # widget key; what a problem is of


def known_views(study: Study) -> dict[str, str]:
    """Addresses of the saved views by name, those of pages that there are; none where they cannot be read."""
    try:
        views = reads.traces(study).views
    except PeregrineError:
        return {}
    return {name: address for name, address in views.items() if address.partition("?")[0] in PAGES}


def saved_views_menu(entry: served_studies.Entry) -> None:
    """A button that opens the saved views: go to one, remove one, save the page as it is."""
    with st.popover(
        "Views",
        icon=":material/bookmarks:",
        key="views_menu",
        type="tertiary",
        width="stretch",
        on_change="rerun",
    ) as opened:
        if opened.open:
            with st.container(key="views_menu_body"):
                _saved_views(served_studies.open_current(entry.path))


def _saved_views(study: Study) -> None:
    problem_of(VIEW_OF)
    views = known_views(study)
    for name, address in views.items():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            page = PAGES[address.partition("?")[0]]
            st.button(
                plain(name),
                key=f"view_{name}",
                icon=page.icon,
                width="stretch",
                on_click=session.go_to_view,
                args=(address,),
            )
            if guest_is_asking():
                continue
            st.button(
                "Remove",
                key=f"view_remove_{name}",
                type="tertiary",
                help=f"Remove the view {plain(name)}",
                on_click=lambda name=name: session.attempt(
                    VIEW_OF, lambda: trace_changes.remove_view(study, name)
                ),
            )
    if not views:
        st.caption("A view is a page with its filter and choices. None is saved in this study yet.")
    if guest_is_asking():
        return
    st.text_input(
        "Save this page as", key=VIEW_NAME, max_chars=trace_limits.LONGEST_NAME, placeholder="dogs under snow"
    )
    st.button("Save view", key="view_save", type="primary", on_click=_saving, args=(study,))


def _saving(study: Study) -> None:
    def keep() -> None:
        trace_changes.save_view(study, str(session.value(VIEW_NAME) or ""), session.view_address())
        session.set_widget(VIEW_NAME, "")

    session.attempt(VIEW_OF, keep)


# Rename, duplicate and delete the study that is chosen in the sidebar.


STUDY_MENU = "study_menu"


def study_menu(entry: served_studies.Entry) -> None:
    """A button below the selector that opens what can be done with the study as a whole."""
    with st.popover(
        "Manage", icon=":material/more_horiz:", key=STUDY_MENU, type="tertiary", on_change="rerun"
    ) as opened:
        if opened.open:
            with st.container(key="study_menu_body"):
                _study_contents(entry)


def _study_contents(entry: served_studies.Entry) -> None:
    widgets.problem_of(STUDY_MENU)
    job = read_job(entry.path)
    if job is not None and job.running:
        st.caption("A job is writing this study. It can be renamed or deleted when the job has ended.")
        return
    _names(entry)
    deletion(entry)


def _names(entry: served_studies.Entry) -> None:
    key = f"study_name_{entry.name}"
    st.text_input("Name", entry.path.name, key=key, max_chars=60)
    with st.container(horizontal=True, gap="small"):
        st.button("Rename", key="study_rename", on_click=_rename, args=(entry, key))
        st.button("Duplicate", key="study_duplicate", on_click=_duplicate, args=(entry, key))


def deletion(entry: served_studies.Entry, *, of: str = "study") -> None:
    """Draw the fields that delete a study after its name is typed. of: begins their keys."""
    key = f"{of}_delete_{entry.name}"
    st.text_input(f"To delete it, type {plain(entry.path.name)}", key=key)
    st.caption("This deletes the results permanently. Your images are not touched.")
    size = format_bytes(bytes_below(entry.path))
    widgets.problem_of(key)
    label, act = f"Delete {size}", f"{of}_delete"
    st.button(label, key=act, icon=":material/delete:", on_click=_delete, args=(entry, key))


def _rename(entry: served_studies.Entry, key: str) -> None:
    name = session.value(key).strip()
    if name == entry.path.name:
        session.keep_problem(STUDY_MENU, "type another name to rename the study")
        return
    if (target := _act(study_folders.rename_study, entry, name)) is not None:
        _choose(target)
        session.notify(f"Renamed '{entry.path.name}' to '{name}'.")


def _duplicate(entry: served_studies.Entry, key: str) -> None:
    name = session.value(key).strip()
    name = f"{name} copy" if name == entry.path.name else name
    if (target := _act(study_folders.copy_study, entry, name)) is not None:
        _choose(target)
        session.notify(f"Copied '{entry.path.name}' to '{name}', which is shown now.")


def _delete(entry: served_studies.Entry, key: str) -> None:
    if session.value(key).strip() != entry.path.name:
        session.keep_problem(key, f"nothing was deleted: type '{entry.path.name}' above")
        return
    reason = None
    try:
        study_folders.remove_study(served_studies.studies_folder(), entry.path)
    except PeregrineError as error:
        reason = str(error)
    if entry.path.exists():
        session.keep_problem(key, reason)
        return
    session.notify(reason or f"Deleted '{entry.path.name}'.")
    session.set_filter("")
    left = served_studies.entries(served_studies.studies_folder())
    _show(left[0].name if left else None)


def _act(act: Callable[[Path, Path, str], Path], entry: served_studies.Entry, name: str) -> Path | None:
    """Do something with the study; None where it was refused, which the menu then says."""
    try:
        return act(served_studies.studies_folder(), entry.path, name)
    except PeregrineError as error:
        session.keep_problem(STUDY_MENU, str(error))
        return None


def _choose(folder: Path) -> None:
    _show(folder.relative_to(served_studies.studies_folder()).as_posix())


def _show(name: str | None) -> None:
    """Another study, with the menu closed: open, it would be that study's, above its page."""
    session.choose_study(name)
    session.set_widget(STUDY_MENU, False)


# Go to anything by its name: a page, a class, a feature, a saved slice, an image. Ctrl+K opens it.


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


def palette_button() -> None:
    """The button of the sidebar."""
    st.button(
        "Go to …",
        icon=":material/search:",
        shortcut="Ctrl+K",
        key="palette_open",
        width="stretch",
        help="A page, class, feature, saved slice or image by its name",
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
    places = _places(study)
    st.selectbox(
        "A page, class, feature, saved slice or image",
        list(places),
        index=None,
        key=CHOICE,
        placeholder="Type a name, a number or words to search for",
        accept_new_options=True,
        filter_mode="contains",
        on_change=_go_to,
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
        unmarked=shown[reads.answer_has_seen(study)[shown]].tolist(),
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
    for name, address in known_views(study).items():
        destinations[f"View {name}"] = lambda address=address: session.go_to_view(address)
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


def _go_to(study: Study, places: dict[str, Go]) -> None:
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


# The sidebar: the study, and the pages in four groups.


ABOUT_GUESTS = "You see every study of this server, and its owner lets you change none."
FOR_OWNERS = ("figures",)  # pages of what a guest cannot leave


def links(entry: served_studies.Entry | None, here: str, pages: Mapping[str, st.Page]) -> DeltaGenerator:
    """Draw the links to all pages; return the place below the study selector, for `facts`.

    Args:
        here: the open page. A link carries the study and the filter, so that the browser's history holds them
            for every page.
        pages: by name, as Streamlit knows them: a link by the path of its file looks the file up each time,
            some eight calls of the system, after each of which a busy thread has to wait for its turn.
    """
    name = entry.name if entry else None
    with st.sidebar:
        page_behaviour(
            no_step=(session.PICKED,),
            closing=("filter_labels",),
            asking=CHOICE,
            figures=my_figures.name(),
            on_figures=my_figures.take_back,
            query=session.take_query(),
            charts=PAGES[here].charts,
        )
        facts_slot = st.container()
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="sidebar_studies"):
            if guest_is_asking():
                st.caption(":material/visibility: Read-only", help=ABOUT_GUESTS)
            else:
                _link(PAGES[NEW_STUDY], pages, name)
                if entry is not None:
                    study_menu(entry)
        if entry is not None:
            with st.container(gap=None, key="sidebar_go"):
                palette_button()
                saved_views_menu(entry)
        shown = [
            one for one in PAGES.values() if entry is not None or one.name in (HOME, *ALSO_WITHOUT_STUDY)
        ]
        left_out = FOR_OWNERS if guest_is_asking() else ()
        for group in GROUPS:
            of_group = [page for page in shown if page.group == group and page.name not in left_out]
            if of_group:
                with st.container(gap=None, key=f"sidebar_{group.lower()}"):
                    st.caption(group)
                    for page in of_group:
                        _link(page, pages, name)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if entry is not None:
                copy_link_button()
            theme_switch()
        fold_when_narrow(here)
    return facts_slot


def _link(page: Page, pages: Mapping[str, st.Page], study: str | None) -> None:
    with st.container(key=f"link_{page.name}"):
        st.page_link(
            pages[page.name],
            label=page.title,
            icon=page.icon,
            width="stretch",
            query_params=session.link_query(study),
        )


def facts(slot: DeltaGenerator, study: Study) -> None:
    """What the study is: its encoder, images and features."""
    size = [f"{study.n_images:,} images"]
    if study.has("representations"):
        of_units = "features" if study.below is None else f"latents of {widgets.plain(study.path.name)}"
        size.append(f"{study.array('representations').shape[1]:,} {of_units}")
    encoder = [widgets.plain(encoder_title(study.encoder_name))] if study.encoder_name else []
    slot.caption("  \n".join([" · ".join(size), *encoder]))

"""One or several of a few options, as buttons or as a list to open; the choice is part of the link."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import streamlit as st

from core.common.captions import with_class_names
from dashboard.state import session

Width = Literal["stretch"] | int


def choose_one(
    label: str,
    options: Iterable[str],
    *,
    key: str,
    default: str | None = None,
    shows_label: bool = False,
    help: str | None = None,
    on_change: Callable[..., None] | None = None,
    args: tuple[Any, ...] | None = None,
) -> str:
    """Draw a row of buttons and return the chosen option.

    A link that names another one gives a note and the default.

    Args:
        label: read by screen readers; drawn only with `shows_label`.
        key: of the widget, and its part of the link.
        default: what is chosen where the link names nothing; None: the first option.
    """
    among = _in_the_link(key, options)
    first = among[0] if default is None else default
    choice = st.segmented_control(
        label,
        among,
        default=first,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="visible" if shows_label else "collapsed",
        help=help,
        on_change=on_change,
        args=args,
    )
    return choice or first


def select_one(
    label: str,
    options: Iterable[str],
    *,
    key: str,
    width: Width = "stretch",
    default: str | None = None,
    shows_label: bool = False,
    help: str | None = None,
    disabled: bool = False,
) -> str:
    """Draw a list to open and return the chosen option; otherwise as `choose_one`."""
    among = _in_the_link(key, options)
    choice = st.selectbox(
        label,
        among,
        index=0 if default is None else among.index(default),
        key=key,
        bind="query-params",
        width=width,
        label_visibility="visible" if shows_label else "collapsed",
        help=help,
        disabled=disabled,
    )
    return choice or among[0]


def select_or_none(
    label: str, options: Iterable[str], *, key: str, default: str | None, placeholder: str, width: Width
) -> str | None:
    """Draw a list to open, which may begin empty; return the chosen option, None while nothing is chosen."""
    among = _in_the_link(key, options)
    return st.selectbox(
        label,
        among,
        index=None if default is None else among.index(default),
        key=key,
        bind="query-params",
        width=width,
        label_visibility="collapsed",
        placeholder=placeholder,
    )


def pick_one(
    label: str,
    options: Sequence[str],
    choice: str | None,
    *,
    key: str,
    on_pick: Callable[[str], None],
    width: Width = "stretch",
    shows_label: bool = False,
    **further: Any,
) -> None:
    """Draw a list that shows what the page has chosen; `on_pick` is called with what the reader picks.

    further: as `st.selectbox` takes it.
    """
    st.selectbox(
        label,
        options,
        index=None if choice is None else options.index(choice),
        width=width,
        label_visibility="visible" if shows_label else "collapsed",
        **session.show_in_widget(key, choice, on_pick),
        **further,
    )


def select_class(
    label: str,
    classes: Sequence[str],
    *,
    key: str,
    width: Width = "stretch",
    default: str | None = None,
    placeholder: str | None = None,
    shows_label: bool = False,
) -> str | None:
    """Draw a list of classes, or of texts in which classes stand, by their names; return the chosen one.

    The link keeps what was chosen as it is in `classes`: a WordNet id stays one. (A widget that is bound to
    the link would write what it shows.)
    """
    _in_the_link(key, classes)
    asked = session.url_text(key)
    if asked is not None and asked not in classes:  # no widget is bound to it, which would write another
        session.set_url(key, None)
    choice = asked if asked in classes else default
    pick_one(
        label,
        classes,
        choice,
        key=key,
        on_pick=lambda name: session.set_url(key, name),
        width=width,
        shows_label=shows_label,
        format_func=with_class_names,
        placeholder=placeholder,
    )
    return choice


def select_classes(
    label: str, classes: Sequence[str], *, key: str, default: Sequence[str], most: int, help: str
) -> list[str]:
    """`select_class` of several, `most` of them; `default` where none is chosen."""
    named = session.drop_unknown(key, classes)[:most]
    session.set_url(key, named)
    selection = named or list(default)
    st.multiselect(
        label,
        classes,
        default=selection,
        format_func=with_class_names,
        max_selections=most,
        help=help,
        **session.show_in_widget(key, selection, lambda names: session.set_url(key, names)),
    )
    return selection


def select_some(
    label: str,
    options: Iterable[str],
    *,
    key: str,
    width: Width = "stretch",
    default: Iterable[str] = (),
    most: int | None = None,
    placeholder: str | None = None,
    shows_label: bool = False,
) -> list[str]:
    """Draw a list of which several can be chosen, `most` of them, and return these."""
    return st.multiselect(
        label,
        _in_the_link(key, options),
        default=list(default),
        key=key,
        bind="query-params",
        max_selections=most,
        placeholder=placeholder,
        width=width,
        label_visibility="visible" if shows_label else "collapsed",
    )


def press_some(
    label: str,
    options: Iterable[str],
    *,
    key: str,
    default: Iterable[str] = (),
    shows_label: bool = True,
    help: str | None = None,
) -> list[str]:
    """Draw buttons of which several can be pressed; return those that are, in their order."""
    among = _in_the_link(key, options)
    pressed = st.pills(
        label,
        among,
        selection_mode="multi",
        default=[name for name in among if name in default],
        key=key,
        bind="query-params",
        label_visibility="visible" if shows_label else "collapsed",
        help=help,
    )
    return [name for name in among if name in pressed]


def feature_number(
    label: str, n_features: int, *, key: str, width: int, default: int = 0, shows_label: bool = True
) -> int:
    """Draw a field for the number of a feature; a link to one that is not there gives a note.

    No widget is bound to that part of the link: another study or basis may not have the feature, and what is
    bound cannot be dropped.
    """
    asked = session.url_int(key, below=n_features, what="feature")
    shown = default if asked is None else asked
    number = st.number_input(
        label,
        0,
        n_features - 1,
        shown,
        step=1,
        width=width,
        label_visibility="visible" if shows_label else "collapsed",
        **session.show_in_widget(key, shown, lambda number: session.set_url(key, int(number))),
    )
    return int(number)


def _in_the_link(key: str, options: Iterable[str]) -> list[str]:
    """The options; what a link names beside them is dropped with a note."""
    among = list(options)
    session.drop_unknown(key, among)
    return among

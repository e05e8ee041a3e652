"""The figures on the sheet as cards: dragged into order, moved with buttons or keys, captioned, removed."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from dashboard.components.browser_half import browser_half


@dataclass(frozen=True)
class SheetCard:
    """One figure: `key` stays when it moves, `about` says of which images it is, `problem` why it cannot be
    drawn, `span` how many columns it takes.
    """

    key: str
    letter: str
    title: str
    about: str
    caption: str
    problem: str = ""
    span: int = 1


_CARDS = browser_half("sheet_cards", '<ol class="cards"></ol><p class="told" role="status"></p>')


def sheet_cards(
    items: Sequence[SheetCard],
    *,
    key: str,
    columns: int,
    longest: int,
    on_order: Callable[[list[str]], None],
    on_caption: Callable[[str, str], None],
    on_remove: Callable[[str], None],
    on_span: Callable[[str, int], None],
) -> None:
    """Draw the cards in their order. The functions are callbacks, called before the next run.

    Args:
        columns: of the sheet. longest: characters of a caption.
        on_order: gets the keys of the cards in their new order.
        on_caption, on_remove, on_span: get the key of a card.
    """

    def changed() -> None:
        change = st.session_state[key].changed
        if not change:
            return
        if "order" in change:
            on_order([str(one) for one in change["order"]])
        elif "caption" in change:
            on_caption(str(change.get("at")), str(change["caption"])[:longest])
        elif "span" in change:
            on_span(str(change.get("at")), int(change["span"]))
        elif change.get("remove"):
            on_remove(str(change.get("at")))

    _CARDS(
        key=key,
        data={"cards": [asdict(one) for one in items], "longest": longest, "columns": columns},
        on_changed_change=changed,
    )

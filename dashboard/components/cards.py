"""Cards: a title, a row of pictures, bars and a few words, each of which opens a page.

Used wherever a list is better read by its pictures than as a table: features, slices, confusions, findings.
The browser half (cards.js) receives plain data and writes every text as text, so a label that contains markup
stays inert. A card is a link: it opens in another tab like any other, and a click calls `on_open`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.common.captions import with_class_names
from dashboard.components.browser_half import browser_half, on_sent

Tone = Literal["", "good", "bad", "quiet"]


@dataclass(frozen=True)
class Picture:
    """One picture. An empty address is drawn as absent."""

    src: str
    alt: str


@dataclass(frozen=True)
class Bar:
    """A share of a whole as a bar: its label on the left, its value in words on the right.

    share: in [0, 1], the length. low, high: the ends of its interval, drawn as a line; None for none.
    mark: another share that it is compared with, drawn as a tick; None for none.
    """

    label: str
    share: float
    text: str
    tone: Tone = ""
    low: float | None = None
    high: float | None = None
    mark: float | None = None


@dataclass(frozen=True)
class Button:
    """A button of a card. `id` is what `on_press` gets; one that is not active only says how things are. Of
    several, one is `first`; the others have no frame.
    """

    id: str
    label: str
    help: str = ""
    active: bool = True
    first: bool = False


@dataclass(frozen=True)
class Card:
    """One card. `id` is what `on_open` gets, `href` the page that it opens (see `session.href`).

    note stands in grey after the title ("#168"), note_help is said where the pointer rests on it, tag at the
    right in its tone ("on the object"), tag_help where the pointer rests on that, subtitle below the title,
    lines below pictures and bars, action at the end ("Open the slice").
    buttons stand beside the link, since a link may not hold buttons.
    """

    id: str
    title: str
    href: str = ""
    note: str = ""
    note_help: str = ""
    tag: str = ""
    tag_help: str = ""
    tone: Tone = "quiet"
    subtitle: str = ""
    pictures: tuple[Picture, ...] = ()
    bars: tuple[Bar, ...] = ()
    lines: tuple[str, ...] = ()
    action: str = ""
    buttons: tuple[Button, ...] = ()


_CARDS = browser_half("cards", '<ul class="cards"></ul>')


def _named(card: Card) -> dict[str, Any]:
    """What a card says, with the names of classes that are WordNet ids; texts alone, also of records."""
    texts = {"title": _text(card.title), "subtitle": _text(card.subtitle)}
    bars = [asdict(bar) | {"label": _text(bar.label)} for bar in card.bars]
    return texts | {"lines": [_text(line) for line in card.lines], "bars": bars}


def _text(text: str) -> str:
    return str(with_class_names(text))


def cards(
    items: Sequence[Card],
    *,
    key: str,
    label: str,
    on_open: Callable[[str], None],
    width: int = 270,
    wide: bool = False,
    spread: bool = False,
    pictures_first: bool = False,
    in_a_row: int = 0,
    on_press: Callable[[str, str], None] | None = None,
) -> None:
    """Draw cards in as many columns as fit.

    Args:
        key: unique on the page. label: what the cards are, for a screen reader.
        on_open: gets the id of the card that was clicked; runs as a callback, before the next run (there
            `session.go` opens a page).
        width: least width of a card in pixels.
        wide: one card a row: words and bars on the left, pictures on the right.
        spread: few cards: they share the width of the page.
        pictures_first: pictures stand above the title. in_a_row: of the pictures of a card; 0: all of them.
        on_press: gets the ids of the card and of its button that was pressed; runs as `on_open` does.
    """

    _CARDS(
        key=key,
        data={
            "cards": [asdict(item) | _named(item) for item in items],
            "label": label,
            "width": width,
            "wide": wide,
            "spread": spread,
            "picturesFirst": pictures_first,
            "inARow": in_a_row,
        },
        on_opened_change=on_sent(key, "opened", on_open, str),
        on_pressed_change=on_sent(key, "pressed", on_press, str, str),
    )

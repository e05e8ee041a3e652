"""Slices as rows: a plain name, the error rate with its interval, pictures, and what can be done with it."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from core.common.write_access import guest_is_asking
from core.errors import PeregrineError
from core.slices import saved_slices as saved_file
from core.slices.inspection.distinct import varied
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import map_reads, reads, slice_reads
from dashboard.components import widgets
from dashboard.components.cards import Bar, Button, Card, cards
from dashboard.panels import saved_slices
from dashboard.panels.features.feature_cards import thumbnails
from dashboard.state import session

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
    what = "" if n == slice_reads.count(study, Slice.parse(str(row["where"]))) else " with a known answer"
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

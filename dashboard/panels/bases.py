"""The bases of a study: which there are, how good they are, which to look at, and two side by side."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.bases.basis import UNITS, Basis
from core.bases.fit_times import seconds_per_operation
from core.bases.kinds import BATCH, FEWEST_LATENTS, KINDS
from core.bases.worth import CONTROLS, explained, explained_by_random
from core.common.dataframes import numbers
from core.common.durations import expected_duration
from core.common.formatting import counted, format_duration, full_sentence, signed_interval, with_interval
from core.common.records import Record, Templates
from core.common.verdict_words import ALIKE, OFTEN_AGAIN, RELIABLE, USEFUL, USELESS, WEAK, WORDS, Verdict
from core.config.bases import BASIS_KINDS, ON
from core.errors import JobError, StudyError
from core.store import Study
from core.study.commands import FitBasis, RemoveBasis, typed
from core.study.jobs import Job, read_job
from core.study.write_access import guest_is_asking
from dashboard.cache import basis_reads, feature_reads, image_filter, slice_reads
from dashboard.components import cards, widgets
from dashboard.components.chart import download
from dashboard.components.choose_one import choose_one, select_one
from dashboard.components.job_follower import start_button, why_not
from dashboard.components.widgets import NOT_JUDGED
from dashboard.jobs import launcher
from dashboard.panels.feature_cards import thumbnails
from dashboard.state import served_studies, session

# Which basis of a study to look at, and by which control it is judged.


_say = Templates.beside(__file__)
FEW_VECTORS = 500  # of 97 photographs, a dictionary explained 4 %, and another run found few of its latents
TITLES = {USELESS: "useless", WEAK: "weak", USEFUL: "useful", RELIABLE: "reliable", "": "not_judged"}


def advice(bases: Mapping[str, Basis], worth: Mapping[str, Verdict]) -> tuple[Record, Record]:
    """Which basis to look at, and why, by the verdicts on them (`dictionary_verdicts`).

    >>> advice({}, {})
    ('No basis is learned yet', 'A basis describes each image by a few latents, each often of one thing.')
    """
    if worth:
        best = _best_basis(bases, worth)
        return _say(TITLES[worth[best].word], what=best), worth[best].sentence
    if controls := tuple(bases):
        return _say("only_controls"), _say("controls", names=controls)
    return _say("none"), _say("gives")


def few_images(n_vectors: int) -> Record | Literal[""]:
    """Warn where so few vectors are learned from that the latents may be chance; "" for enough of them."""
    return _say("few_images", n=n_vectors, of=FEW_VECTORS) if n_vectors < FEW_VECTORS else ""


def _best_basis(bases: Mapping[str, Basis], worth: Mapping[str, Verdict]) -> str:
    """The basis with the best word, and of these the one that explains most."""
    return max(worth, key=lambda name: (_basis_place(worth[name]), explained(bases[name])))


def _basis_place(judged: Verdict) -> int:
    """One that is not judged is better than a useless one."""
    return WORDS.index(judged.word or WEAK)


def lacking_control(bases: Mapping[str, Basis]) -> Basis | None:
    """The learned basis that explains most, where it has no random directions to be judged by."""
    learned = [basis for basis in bases.values() if basis.kind not in CONTROLS]
    best = max(learned, key=explained, default=None)
    return best if best is not None and math.isnan(explained_by_random(best, bases)) else None


# Two bases of a study side by side: which latents of one the other has too, and images of both.


TWINS_SHOWN = 200  # pairs of latents
TWIN_PICTURES, TWIN_SIDE = 3, 56  # of each latent, and pixels of a row


def twins(study: Study, whole: Study) -> None:
    """A row a latent: its strongest images, and those of the most similar one of another basis.

    Args:
        study: as it is read here. whole: the same, by the units of its encoder.
    """
    names = [*whole.bases, UNITS]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        here = study.path.name if study.below is not None else names[0]
        mine = select_one("Latents of", names, key="twins_of", default=here, width=180)
        st.caption("beside the most similar ones of", width="content")
        others = [name for name in (*whole.bases, UNITS) if name != mine]
        other = select_one("Compared with", others, key="twins_with", width=180)
    frame = basis_reads.twins_of(whole, mine, other)
    cosines = numbers(frame, "cosine")
    n = int(np.count_nonzero(cosines >= basis_reads.TWIN))
    names = widgets.plain(mine), widgets.plain(other)
    median = float(np.median(cosines))
    st.markdown(_say("twins", n=n, of=len(frame), names=names, chance=basis_reads.TWIN, value=median))
    shown = frame.head(TWINS_SHOWN).reset_index(drop=True)
    sides = (("latent", mine), ("twin", other))
    pictured = whole.n_images <= basis_reads.MOST_IMAGES
    for column, basis in sides:
        features = np.asarray(shown[column])
        if pictured:
            shown = shown.assign(**_twin_pictures(whole, column, basis, features))
        links = [session.href("feature", whole, feature=str(feature), basis=basis) for feature in features]
        shown = shown.assign(**{column: links})
    columns = [
        "latent",
        *_twin_names("latent"),
        "cosine",
        "twin",
        *_twin_names("twin"),
        "words",
        "words_of_twin",
    ]
    described: dict[str, Any] = {
        column: st.column_config.LinkColumn(basis, display_text=r"feature=(\d+)", width=70)
        for column, basis in sides
    }
    for pictures in (_twin_names("latent"), _twin_names("twin")):
        for at, name in enumerate(pictures):
            title = "strongest on" if at == 0 else " "
            described[name] = st.column_config.ImageColumn(title, width=TWIN_SIDE)
    described |= {"words": f"words in {mine}", "words_of_twin": f"words in {other}"}
    described["cosine"] = st.column_config.ProgressColumn(
        "Similarity", format="%.2f", min_value=0, max_value=1
    )
    filled = [name for name in columns if name in shown and any(shown[name])]
    height_of_row = TWIN_SIDE if pictured else None
    st.dataframe(
        shown[filled],
        hide_index=True,
        row_height=height_of_row,
        height=10 * TWIN_SIDE,
        alt=f"The latents of {mine}, and the most similar one of {other}",
        column_config=described,
    )


def _twin_names(column: str) -> list[str]:
    return [f"{column}_{number}" for number in range(TWIN_PICTURES)]


def _twin_pictures(
    whole: Study, column: str, basis: str, features: np.ndarray
) -> dict[str, list[str | None]]:
    """The addresses of the strongest images of some latents, a column for each of the first PICTURES."""
    rows = basis_reads.strongest(whole, basis, tuple(features.tolist()), TWIN_PICTURES)
    urls = [served_studies.picture_urls(whole, rows[int(feature)]) for feature in features]
    columns = {}
    for at, name in enumerate(_twin_names(column)):
        columns[name] = [of_latent[at] if at < len(of_latent) else None for of_latent in urls]
    return columns


# The bases of a study: which there are, how good they are, one more, one less, and two side by side.


BASES = "Bases"  # what the page Features calls this panel
WHAT = (
    "A unit is one neuron of the encoder. A latent is a mix of units, learned so that only a few are active "
    "on an image; each then often stands for one thing."
)
ABOUT_STABILITY = (
    "Found again: the latents that another run, from another random start, has too (stability of "
    f"{ALIKE} or more). The tick stands at half of them: below, most depend on that start alone."
)
ABOUT_R2 = (
    "Explained: the share of the differences between images that the latents account for (R²). It is "
    "measured on evaluation images, which were not used for learning, where there are any."
)
MEASURED = (  # reproductions/bases.md
    "Measured on the example study and on CIFAR-10: words fit units best, and of the bases parts that add up "
    "(NMF). Latents learned from patches mark objects better than units do. No basis predicts "
    "errors as well as the classifier's confidence."
)
ENTERED = "_basis_entered"  # in the session: what the form began with last
VECTORS = {"whole images": "pooled", "patches": "positions"}
ABOUT_LATENTS = (
    "How many parts the basis has. Each is then read like a feature: pictures, words, heatmaps. More of them "
    "are finer, and need more images to be found again."
)
ABOUT_ACTIVE = (
    "How many of the latents describe one image at most: fewer are easier to read, more explain more."
)
ABOUT_RUNS = (
    "How often the basis is learned, each time from another random start. Two runs tell which latents are "
    "found again; each takes as long."
)
ABOUT_VECTORS = (
    "Whole images: quick. Places in images: the page of an image then shows which latents are active where "
    "you click; the encoder has to look at every image again for that."
)
MEASURES = {  # by the head of their column
    "Active there": "ap",
    "Silent there": "inverted_ap",
    "Five together": "probe_ap",
    "Purity of the top 16": "purity",
}
KNOWN_AS = {  # by the end of their columns
    "": "Means",
    "_minus_units": "Differences from the units",
    "_minus_random": "Differences from random directions",
}
PICTURES = 4
TONES: dict[str, cards.Tone] = {USELESS: "bad", USEFUL: "good", RELIABLE: "good"}
AS_LONG = (
    2.5  # times the estimate, at most: it is within a factor of 2, on a computer with nothing else to do
)
WORTH = 0.75  # of the time: quicker sizes are offered where they save a quarter
LONG = 300.0  # seconds from which a fit begins with the quick sizes: latents, active ones; and runs, of
# which one alone cannot say what is found again
QUICK = {"size": 256, "k": 8, "fits": 2}


def panel(study: Study) -> None:
    whole = served_studies.in_units(study)
    worth = basis_reads.verdicts(whole)
    title, why = advice(whole.bases, worth)
    st.header(widgets.plain(title), help=f"{ABOUT_R2} {ABOUT_STABILITY}")
    st.caption(widgets.plain(why))
    shown = [_units(whole, study.basis_name)]
    for name, basis in whole.bases.items():
        shown.append(_card(whole, basis, study.basis_name, worth.get(name)))
    cards.cards(
        shown,
        key="bases_cards",
        label="Bases of the study",
        on_open=lambda name: session.go("features", **{session.BASIS: name}),
        spread=True,
        width=205,  # four beside each other at 1280
    )
    if (control := lacking_control(whole.bases)) is not None:
        card = control.card
        sizes = {part: int(card.get(part) or 1) for part in ("size", "k")}
        options = typed(kind="random", **sizes, on=card.get("on", ON[0]))
        command = FitBasis(whole.path, unused_name(whole, "random"), options)
        label, icon = "Add random directions", ":material/shuffle:"
        why_not(start_button(command, label, key="basis_control", icon=icon))
    if whole.bases:
        known_table, side_by_side = partial(_known, whole), partial(twins, study, whole)
        widgets.drawer("What each knows of classes and attributes", "bases_known", "fact_check", known_table)
        widgets.drawer("Two side by side", "bases_twins", "compare_arrows", side_by_side)
    st.caption(MEASURED)
    if not guest_is_asking():
        _fit(whole)
        _removal(whole, study.basis_name)


def _units(whole: Study, here: str) -> cards.Card:
    width, unit, rows = whole.array("representations").shape[1], 0, []
    if whole.has("firing_features"):
        among, _ = slice_reads.checked(whole, str(image_filter.population()))  # it may be of latents
        firing = feature_reads.in_order(whole, among, feature_reads.Listing())["feature"]
        if len(firing):
            unit = int(firing.iat[0])
            rows = feature_reads.activations(whole, unit, among)[0].tolist()
    is_shown = here == UNITS
    tag, action = ("shown now", "") if is_shown else ("", "Show units")
    pictured = (*_pictured("unit", unit, rows), "Each has a value on every image")
    address, summary = _address(whole, UNITS), KINDS[UNITS].summary
    explained_share = cards.Bar("explained", 1, "100 %", "quiet")
    pictures = thumbnails(whole, rows[:PICTURES])
    return cards.Card(
        UNITS,
        "units",
        note=f"{width:,}",
        tag=tag,
        href=address,
        subtitle=summary,
        pictures=pictures,
        bars=(explained_share,),
        lines=pictured,
        action=action,
    )


def _card(whole: Study, basis: Basis, here: str, worth: Verdict | None) -> cards.Card:
    """The card of a basis; `worth`: the verdict on it, None of a control."""
    card = basis.card
    latent, rows = basis_reads.example(whole, basis.name)
    on_positions = card.get("on") == "positions"
    word = "control" if worth is None else worth.word or NOT_JUDGED
    about = KINDS[basis.kind].title + (", of patches" if on_positions else "")
    is_shown = basis.name == here
    tag, action = (f"{word}, shown now", "") if is_shown else (word, f"Show latents of {basis.name}")
    pictures = thumbnails(whole, rows[:PICTURES])
    lines = (*_pictured("latent", latent, rows), _activity(basis))
    note, address = f"{card.get('size', 0):,} latents", _address(whole, basis.name)
    tone, bars = TONES.get(word, "quiet"), _bars(whole, basis)
    return cards.Card(
        basis.name,
        basis.name,
        note=note,
        subtitle=about,
        tag=tag,
        tone=tone,
        href=address,
        pictures=pictures,
        bars=bars,
        lines=lines,
        action=action,
    )


def _bars(whole: Study, basis: Basis) -> tuple[cards.Bar, ...]:
    """Bars of what a basis explains, and of what another run finds again where there was one."""
    share = explained(basis)
    text = "below 0 %" if share < 0 else widgets.percent(share, digits=0)
    bar = cards.Bar("explained", max(np.nan_to_num(share), 0), text)
    n_alive, n_again = basis_reads.found_again(whole, basis.name)
    if n_again is None or not n_alive:
        return (bar,)
    again = n_again / n_alive
    tone = "quiet" if basis.kind in CONTROLS else "good" if again >= OFTEN_AGAIN else "bad"
    count = f"{n_again:,} of {n_alive:,}"
    return bar, cards.Bar("found again by another run", again, count, tone, mark=OFTEN_AGAIN)


def _activity(basis: Basis) -> str:
    """State how many latents are active at once, and which share never is."""
    card = basis.card
    kind, dead = "active_at_place" if card.get("on") == "positions" else "active", card.get("dead")
    active = _say(kind, value=card.get("l0") or 0)
    return _say("with_dead", value=dead, parts=(active,)) if dead else active


def _pictured(kind: str, number: int, rows: list[int]) -> list[str]:
    return [f"Pictures: where {kind} {number} is strongest"] if rows else []


def _address(whole: Study, name: str) -> str:
    return session.href("features", whole, basis=name)


def _known(whole: Study) -> None:
    """A row a basis: how well its single features stand for classes and attributes."""
    try:
        frame = basis_reads.bases_known(whole, tuple(whole.bases))
    except StudyError as error:
        st.caption(widgets.plain(full_sentence(str(error))))
        return
    ends = [end for end in KNOWN_AS if f"ap{end}" in frame]
    shown = choose_one("Shown", [KNOWN_AS[end] for end in ends], key="bases_known_as")
    minus = next(end for end in ends if KNOWN_AS[end] == shown)
    cells = {"Basis": frame["basis"], "Features": frame["width"]}
    for title, measure in MEASURES.items():
        values = frame[[f"{measure}{minus}{end}" for end in ("", "_low", "_high")]].itertuples(index=False)
        cells[title] = [
            signed_interval(*value) if minus else with_interval(*value, digits=2) for value in values
        ]
    st.dataframe(
        pd.DataFrame(cells),
        hide_index=True,
        alt="How well the features of each basis stand for known concepts",
    )
    n, chance = int(frame["n_concepts"].iat[0]), float(frame["base_rate"].iat[0])
    st.caption(
        f"Means over {counted(n, 'class or attribute', 'classes and attributes')} with their 95 % intervals. "
        "How well the best single feature detects each (average precision: 1 is perfect, "
        f"{chance:.2f} is chance); it is chosen on train images, tested on evaluation images. Silent there: "
        "the feature that is active on all other images. Five together: a regression on five features. "
        "Purity: the share of the class among the 16 images on which a feature is strongest."
    )
    download(whole, frame, name="bases_known")


def _fit(whole: Study) -> None:
    """The form of one more; its command is fitted by the launcher, above the page stands how far it is."""
    vectors, entered = whole.array("representations").shape, _entered(whole)
    with st.expander(
        "Learn a basis", icon=":material/add_circle:", expanded=not whole.bases or bool(entered)
    ):
        columns = st.columns([2.6, 2.1, 1.6, 1.6, 1.7, 1.3], vertical_alignment="bottom", gap="small")
        with columns[0]:
            titles = {KINDS[name].title: name for name in BASIS_KINDS}
            title = select_one(
                "Kind", titles, key="basis_kind", default=entered.get("basis_kind"), shows_label=True
            )
            kind = titles[title]
        with columns[1]:
            on = select_one(
                "Learned from", VECTORS, key="basis_on", default=entered.get("basis_on"), shows_label=True,
                help=ABOUT_VECTORS,
            )  # fmt: skip
        usual = unused_name(whole, kind)
        name = columns[2].text_input(
            "Name", entered.get("basis_name", ""), placeholder=usual, key="basis_name", max_chars=40
        )
        n_train = int(np.count_nonzero(~whole.is_val)) or vectors[0]
        n_vectors = max(n_train, BATCH) if VECTORS[on] == "positions" else n_train  # an image has many
        usual_size = KINDS[kind].default_size(vectors[1], n_vectors)
        usual_k = KINDS[kind].default_k(usual_size)
        if kind == "random" and (
            learned := [basis for basis in whole.bases.values() if basis.kind not in CONTROLS]
        ):
            usual_size, usual_k = (learned[0].card.get(name) or 1 for name in ("size", "k"))  # its control
            usual_size = max(FEWEST_LATENTS, usual_size)
        pace = seconds_per_operation(whole, kind, VECTORS[on], n_vectors)
        fit = Fit(kind, n_vectors, vectors[1], (usual_size, usual_k, QUICK["fits"]), pace)
        of = f"{kind}_{VECTORS[on]}_{served_studies.name_of(whole)}"
        keys = [f"basis_{what}_{of}" for what in ("size", "k", "fits")]
        first_size, first_k, first_fits = map(entered.get, keys, fit.first_sizes)
        size = columns[3].number_input(
            "Latents", FEWEST_LATENTS, value=first_size, key=keys[0], help=ABOUT_LATENTS
        )
        k = columns[4].number_input("Active at once", 1, value=first_k, key=keys[1], help=ABOUT_ACTIVE)
        seeds = columns[5].number_input("Runs", 1, 8, first_fits, key=keys[2], help=ABOUT_RUNS)
        sizes = int(size), int(k), int(seeds)
        options = typed(kind=kind, size=sizes[0], k=sizes[1], seeds=sizes[2], on=VECTORS[on])
        st.caption(f"{KINDS[kind].summary[:1].upper()}{KINDS[kind].summary[1:]}.")
        if kind not in CONTROLS and (few := few_images(n_vectors)):
            st.warning(few, icon=":material/warning:")
        try:
            command = FitBasis(whole.path, (name or usual).strip(), options, resume=True)
        except JobError as error:
            st.error(widgets.plain(error), icon=":material/error:")
            return
        if not KINDS[kind].has_latents_for(sizes[1], sizes[0]):
            st.error(_say("too_many_active", n=sizes[1], of=sizes[0]), icon=":material/error:")
            st.button("Learn", key="basis_fit", type="primary", disabled=True)
            return
        if launcher.refusal(command) is not None:  # it may be learned without looking at images
            command = replace(command, resume=False)
        _duration(sizes, fit, keys, resume=command.resume, positions=VECTORS[on] == "positions")
        again = command.of in whole.bases
        label = f"Learn {command.of} again" if again else "Learn"
        entries = dict(zip(keys, sizes, strict=True))
        entries |= {"basis_kind": title, "basis_on": on, "basis_name": name}
        then = partial(_keep, entries)
        why_not(start_button(command, label, key="basis_fit", kind="primary", then=then))


def _entered(whole: Study) -> dict[str, Any]:
    """What was entered for the start that has failed, by the keys of the fields; nothing after any other."""
    job = read_job(whole.path)
    has_failed = job is not None and job.state == "failed"
    return session.recall(ENTERED, {}) if has_failed else {}


def _keep(entries: dict[str, Any], job: Job) -> None:
    session.set_widget(ENTERED, entries)


@dataclass(frozen=True)
class Fit:
    """What is learned from, and its usual sizes: latents, active ones, runs.

    Attributes:
        pace: seconds for each operation, as measured by an earlier fit; None: estimated of this computer.
    """

    kind: str
    n: int
    width: int
    usual: tuple[int, int, int]
    pace: float | None = None

    @property
    def quick(self) -> tuple[int, int, int]:
        size, k, runs = map(min, self.usual, QUICK.values())
        return size, k, runs

    @property
    def first_sizes(self) -> tuple[int, int, int]:
        """The usual ones, unless they take long on this computer."""
        return self.quick if self.seconds(*self.usual) > LONG else self.usual

    def seconds(self, size: int, k: int, runs: int) -> float:
        operations = runs * KINDS[self.kind].fit_operations(self.n, self.width, size, k)
        return basis_reads.seconds_of(operations) if self.pace is None else self.pace * operations

    def takes(self, *sizes: int) -> Record:
        """Say how long: by an earlier fit, or as estimated."""
        seconds = max(self.seconds(*sizes), 1)
        if self.pace is not None:
            return _say("by_earlier", value=seconds, parts=(expected_duration(seconds),))
        return _say("learning", names=tuple(format_duration(seconds * times) for times in (1, AS_LONG)))


def _duration(
    sizes: tuple[int, int, int], fit: Fit, keys: list[str], *, resume: bool, positions: bool
) -> None:
    """How long learning takes, in a sentence; a button for the quick sizes where that is long, and for the
    usual ones where they would be. It sets the fields of these keys.
    """
    takes = fit.seconds(*sizes)
    lines = [fit.takes(*sizes)]
    if resume:
        lines.append(_say("then"))
    if positions:
        lines.append(_say("looks_again"))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="basis_duration"):
        st.markdown(f":material/schedule: {' '.join(lines)}", width="content")
        label, icon, other = "Quicker", "bolt", fit.quick
        if sizes == fit.first_sizes != fit.usual:
            label, icon, other = "More thorough", "hourglass_top", fit.usual
        is_quicker = takes > LONG and fit.seconds(*other) < WORTH * takes
        if other != sizes and (is_quicker or other == fit.usual):
            latents, active, runs = other
            takes_then = format_duration(fit.seconds(*other))
            sizes_text = f"{latents:,} latents, {active} active, {counted(runs, 'run')}"
            st.button(
                f"{label}: {sizes_text}, about {takes_then}",
                key="basis_other_sizes",
                icon=f":material/{icon}:",
                on_click=_set_sizes,
                args=(keys, *other),
            )


def _set_sizes(keys: list[str], size: int, k: int, seeds: int) -> None:
    for key, number in zip(keys, (size, k, seeds), strict=True):
        session.set_widget(key, number)


def unused_name(whole: Study, start: str) -> str:
    """`start`, or with the first number that makes it the name of no basis of the study."""
    names = itertools.chain([start], (f"{start}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in whole.bases)


def _removal(whole: Study, here: str) -> None:
    if not whole.bases:
        return
    with st.expander("Remove one", icon=":material/delete:"):
        st.caption("Everything computed in it is deleted too. The images and the units stay.")
        with st.container(horizontal=True, gap="small"):
            reasons = [_remove_button(whole, name, is_shown=name == here) for name in whole.bases]
        why_not(next(filter(None, reasons), None))


def _remove_button(whole: Study, name: str, *, is_shown: bool) -> str | None:
    command, then = RemoveBasis(whole.path, name), partial(_removed, is_shown)
    return start_button(command, f"Remove {name}", key=f"remove_{name}", icon=None, then=then)


def _removed(is_shown: bool, job: Job) -> None:
    if is_shown:
        session.set_url(session.BASIS, None)

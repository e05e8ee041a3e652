"""Encoders on the same images, best first: numbers with intervals, and as text. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from core.common.command_line import command_line
from core.common.dataframes import numbers
from core.common.formatting import number as formatted
from core.common.formatting import percent, signed, signed_interval
from core.common.records import Record, Templates
from core.common.step_facts import EmbedFacts
from core.compare.compare import differences_in_setup
from core.compare.measures import StudyScores, measure_table
from core.compare.notes import Note
from core.compare.pairs import LEVEL, encoder_pairs, groups_by_leader, holm
from core.compare.pairs import letters as group_letters
from core.compare.shared_folds import SharedFolds, shared_folds
from core.compare.text import columns_text, markdown_table
from core.encoders.readout import chosen_readout, encoder_title
from core.errors import StudyError
from core.measures.chance import LEAST, too_few
from core.measures.evaluate import result_column, slice_columns
from core.measures.finder import MIN_IMAGES, trait_name
from core.measures.traits import COLUMN, PICTURE, Tokens, tokens_of
from core.store import Study
from core.study.label_decisions import decisions, label_words
from core.study.speed import read_speed
from core.study.traces import UNSURE

# Encoders on the same images, best first: numbers with intervals, and which cannot be told apart. No torch.
#
# Every number is of answers out of fold: linear probes and nearest images of other units, on units and
# folds that are the same for all encoders (`shared_folds`; docs/method.md 10.1).


RESAMPLES = 2000
MEASURED = ("accuracy", "knn", "q_auroc", "confidence_auroc", "worst_class", "worst_slice")
PROMISED = (  # columns that a leaderboard has, whatever else follows them
    *("study", "encoder", "accuracy", "low", "high", "group", "knn", "q_auroc", "confidence_auroc"),
    *("worst_class", "milliseconds", "parameters"),
)
OF_IMAGES = ("pictures", "attributes")  # tables whose columns do not depend on the encoder
GIVEN = "given representations"  # in place of an encoder's title
MOST_BETTER = 3  # encoders of which a finding says which are worse
_say = Templates.beside(__file__)


@dataclass(frozen=True)
class Leaderboard:
    """Encoders in the order of their accuracy.

    Attributes:
        folds: the images; its studies are in the order in which they were named.
        frame: a row an encoder: PROMISED, then letters (which share one where encoders cannot be told apart),
            worst_class_name, worst_slice, worst_slice_name, n, n_units, n_wrong. Undefined numbers are NaN.
        measures: measure (one of MEASURED), study, value, low, high, difference, difference_low,
            difference_high (to the first encoder, on the same draws of units), n.
        pairs: see `encoder_pairs`, with adjusted (Holm) and apart.
        order: (k,) numbers of the studies, best first. correct: (k, n) bool, in that order. predicted: (k, n)
            class names.
        notes: what a reader should know.
    """

    folds: SharedFolds
    frame: pd.DataFrame
    measures: pd.DataFrame
    pairs: pd.DataFrame
    order: np.ndarray
    correct: np.ndarray
    predicted: np.ndarray
    notes: list[Note]

    @property
    def names(self) -> list[str]:
        return self.frame["study"].tolist()

    @property
    def studies(self) -> list[Study]:
        """The studies, best first."""
        return [self.folds.shared.studies[number] for number in self.order]

    def value(self, measure: str, study: str) -> dict[str, Any]:
        """Return a row of `measures`; empty where the study has no such number."""
        is_row = (self.measures["measure"] == measure) & (self.measures["study"] == study)
        rows = self.measures.loc[is_row].to_dict("records")
        return {str(name): value for name, value in rows[0].items()} if rows else {}


def leaderboard(studies: Sequence[Study], *, resamples: int = RESAMPLES, seed: int = 0) -> Leaderboard:
    """Compare the encoders of studies of the same images on a leaderboard.

    Args:
        resamples: bootstrap draws of units; more where Holm's step over all pairs needs them. seed: of
            the draws.
    Raises:
        StudyError: as `shared_folds`; or a study lacks its answers out of these folds, with the command.
        SettingsError: as `shared_images`.
    """
    folds = shared_folds(studies)
    if missing := folds.missing:
        names = tuple(folds.shared.names[number] for number in missing)
        command = command_line("compare", *(study.path for study in studies), leaderboard=True)
        raise StudyError(f"{_say('missing', names=names)}. Run: {command}")
    answers = [folds.answers_of(number) for number in range(len(studies))]
    tables = [table for table in answers if table is not None]
    return _board(folds, tables, resamples, seed)


def _board(folds: SharedFolds, tables: list[pd.DataFrame], resamples: int, seed: int) -> Leaderboard:
    accuracies = [table["correct"].mean() for table in tables]
    order = np.argsort([-accuracy for accuracy in accuracies], kind="stable")
    names = [folds.shared.names[number] for number in order]
    correct = np.stack([tables[number]["correct"].to_numpy(bool) for number in order])
    predicted = np.stack([tables[number]["predicted"].to_numpy(object) for number in order])
    pairs = encoder_pairs(correct, names, folds.units, resamples=resamples, seed=seed)
    pairs["adjusted"] = holm(pairs["p"].to_numpy(float))
    pairs["apart"] = pairs["adjusted"] <= LEVEL
    apart = _apart_matrix(pairs, names)
    classes = _lowest(correct, _classes(folds), LEAST)
    slices = _lowest(correct, _slices(folds), MIN_IMAGES)
    scores = []
    for number, worst_class, worst_slice in zip(order.tolist(), classes, slices, strict=True):
        scores.append(_scores(folds, number, tables[number], worst_class, worst_slice))
    measures = measure_table(scores, names, resamples=resamples, seed=seed)
    measures = _without_few(measures.loc[measures["measure"].isin(MEASURED)].reset_index(drop=True), correct)
    board = Leaderboard(folds, pd.DataFrame(), measures, pairs, order, correct, predicted, [])
    frame = _frame(board, apart, classes, slices)
    notes = [*folds.notes, *_notes(board, frame), *differences_in_setup(folds.shared, ("q_auroc",))[0]]
    return replace(board, frame=frame, notes=notes)


def _apart_matrix(pairs: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """(k, k) bool: which encoders of a leaderboard are told apart by accuracy."""
    position_of = {name: at for at, name in enumerate(names)}
    apart = np.zeros((len(names), len(names)), bool)
    for row in pairs.loc[pairs["apart"]].itertuples():
        first, second = position_of[str(row.first)], position_of[str(row.second)]
        apart[first, second] = apart[second, first] = True
    return apart


@dataclass(frozen=True)
class Part:
    """A part of the images, by its name; `rows`: (n,) bool."""

    name: str
    rows: np.ndarray


NO_PART = Part("", np.zeros(0, bool))


def _classes(folds: SharedFolds) -> list[Part]:
    return [Part(name, folds.codes == code) for code, name in enumerate(folds.class_names)]


def _slices(folds: SharedFolds) -> list[Part]:
    """Parts by values of columns and by what the pictures are: nothing of them depends on an encoder."""
    study, rows = folds.shared.studies[0], folds.shared.rows[0]
    mask = np.zeros(study.n_images, bool)
    mask[rows] = True
    tokens = tokens_of(study, mask, (COLUMN, PICTURE))
    tables = slice_columns(study)
    parts = []
    for trait in range(len(tokens)):
        if tables.get(tokens.within[trait]) in OF_IMAGES:
            has_trait = _has_trait(tokens, trait, study.n_images)
            parts.append(Part(_slice_name(tokens, trait), has_trait[rows]))
    return parts


def _slice_name(tokens: Tokens, trait: int) -> str:
    name = trait_name(tokens, trait, "")
    return f"images {name}" if tokens.kinds[trait] == PICTURE else name


def _has_trait(tokens: Tokens, trait: int, n_images: int) -> np.ndarray:
    has = np.zeros(n_images, bool)
    has[tokens.rows[tokens.ids == trait]] = True
    return has


def _lowest(correct: np.ndarray, parts: Sequence[Part], least: int) -> list[Part]:
    """The part of each encoder with its lowest accuracy among those of at least so many images."""
    large = [part for part in parts if part.rows.sum() >= least]
    return [min(large, key=lambda part: right[part.rows].mean(), default=NO_PART) for right in correct]


def _scores(
    folds: SharedFolds, number: int, table: pd.DataFrame, worst_class: Part, worst_slice: Part
) -> StudyScores:
    """What `measure_table` compares: a column a measure, NaN outside of the images that it is of."""
    study, rows = folds.shared.studies[number], folds.shared.rows[number]
    correct = table["correct"].to_numpy(float)
    q = result_column(study, "q_score")[rows] if study.has("quality") else np.full(len(rows), np.nan)
    columns = {"accuracy": correct, "q_correct": np.where(correct == 1, q, np.nan)}
    columns["q_misclassified"] = np.where(correct == 0, q, np.nan)
    columns["confidence"] = table["confidence"].to_numpy(float)
    columns["knn"] = table["knn_correct"].to_numpy(float)
    columns["worst_class"] = _within(correct, worst_class)
    columns["worst_slice"] = _within(correct, worst_slice)
    return StudyScores(columns, q, correct, folds.units)


def _within(correct: np.ndarray, part: Part) -> np.ndarray:
    return np.where(part.rows, correct, np.nan) if len(part.rows) else np.full(len(correct), np.nan)


def _without_few(measures: pd.DataFrame, correct: np.ndarray) -> pd.DataFrame:
    """Leave out the AUROCs of encoders with too few errors, or correct images, for a verdict."""
    names = list(dict.fromkeys(measures["study"]))
    few = [name for name, right in zip(names, correct, strict=True) if _why_few(right)]
    is_auroc = measures["measure"].isin(["q_auroc", "confidence_auroc"])
    hidden = is_auroc & measures["study"].isin(few)
    result = measures.copy()
    result.loc[hidden, ["value", "low", "high"]] = np.nan
    return result


def _why_few(right: np.ndarray) -> str:
    return too_few(int((~right).sum()), int(right.sum()))


def _frame(board: Leaderboard, apart: np.ndarray, classes: list[Part], slices: list[Part]) -> pd.DataFrame:
    names = [board.folds.shared.names[number] for number in board.order]
    columns: dict[str, Any] = {"study": names, "encoder": [_encoder(study) for study in board.studies]}
    values = {one: [board.value(one, name) for name in names] for one in MEASURED}

    def of(measure: str, part: str = "value") -> list[float]:
        return [float(row.get(part, np.nan)) for row in values[measure]]

    columns |= {"accuracy": of("accuracy"), "low": of("accuracy", "low"), "high": of("accuracy", "high")}
    columns |= {"group": groups_by_leader(apart)}
    columns |= {name: of(name) for name in ("knn", "q_auroc", "confidence_auroc", "worst_class")}
    columns |= {"milliseconds": [_milliseconds(study) for study in board.studies]}
    columns |= {"parameters": [_parameters(study) for study in board.studies]}
    columns |= {"letters": group_letters(apart), "worst_class_name": [part.name for part in classes]}
    columns |= {"worst_slice": of("worst_slice"), "worst_slice_name": [part.name for part in slices]}
    columns |= {"n": board.folds.n, "n_units": len(np.unique(board.folds.units))}
    return pd.DataFrame(columns).assign(n_wrong=(~board.correct).sum(1))


def _encoder(study: Study) -> str:
    """The encoder, as a command takes it, and how it is read."""
    return ", ".join(filter(None, [study.encoder_name, _readout(study)]))


def titled_encoder(study: Study) -> str:
    """Name the encoder of a compared study by the title that readers know, and how it is read."""
    return ", ".join(filter(None, [encoder_title(study.encoder_name) or GIVEN, _readout(study)]))


def _readout(study: Study) -> str:
    return chosen_readout(study.facts(EmbedFacts).encoder, study.settings("embed"))


def _milliseconds(study: Study) -> float:
    speed = read_speed(study.path, study.facts(EmbedFacts).encoder.fingerprint)
    return np.nan if speed is None else speed.milliseconds


def _parameters(study: Study) -> float:
    n = study.facts(EmbedFacts).encoder.parameters
    return np.nan if n is None else float(n)


def _notes(board: Leaderboard, frame: pd.DataFrame) -> list[Note]:
    notes = []
    for name, study, right in zip(frame["study"], board.studies, board.correct, strict=True):
        if why := _why_few(right):
            notes.append(Note(_say("few_errors", what=name, why=str(why))))
        if not study.has("quality"):
            notes.append(Note(_say("no_quality", what=name), command_line("quality", study.path)))
    notes += _of_cost(board, frame)
    if n_few := int(np.sum(board.pairs["few"].to_numpy(bool))):
        notes.append(Note(_say("few_apart", n=n_few, of=LEAST)))
    has_class, has_slice = (
        bool(np.isfinite(numbers(frame, name)).any()) for name in ("worst_class", "worst_slice")
    )
    notes += [] if has_class else [Note(_say("no_large_class", n=LEAST))]
    notes += [] if has_slice else [Note(_say("no_slice", n=MIN_IMAGES))]
    return [*notes, *([Note(_say("lowest"))] if has_class or has_slice else [])]


def _of_cost(board: Leaderboard, frame: pd.DataFrame) -> list[Note]:
    """A note on the studies of which time or size are not known."""
    lacks = np.isnan(numbers(frame, "milliseconds")) | np.isnan(numbers(frame, "parameters"))
    given = np.array([study.facts(EmbedFacts).encoder.is_given for study in board.studies])
    notes = []
    for kind, rows in (("given", lacks & given), ("no_cost", lacks & ~given)):
        if rows.any():
            first = board.studies[int(rows.argmax())]
            command = command_line("embed", first.path, redo=True) if kind == "no_cost" else ""
            notes.append(Note(_say(kind, names=tuple(frame.loc[rows, "study"])), command))
    return notes


def decided_labels(board: Leaderboard) -> dict[int, str]:
    """Name the labels of a leaderboard's images on which people decided, with what they decided.

    By the places of their images, of any of the studies; decisions of several studies that differ one
    after the other.
    """
    names: dict[int, dict[str, None]] = {}
    for study, rows in zip(board.folds.shared.studies, board.folds.shared.rows, strict=True):
        made = decisions(study).fillna({"corrected_label": UNSURE})
        study_rows = study.rows_held(made["image_id"].tolist())
        places = pd.Index(rows).get_indexer([study_rows[one] for one in made["image_id"]])
        for position, label, decision in zip(places, made["label"], made["corrected_label"], strict=True):
            names.setdefault(int(position), {})[label_words(str(label), str(decision))] = None
    return {position: "; ".join(texts) for position, texts in names.items() if position >= 0}


def notes_of(board: Leaderboard) -> list[Note]:
    """What a reader of a leaderboard should know, also of what people decided on labels since."""
    n = len(decided_labels(board))
    return [*board.notes, *([Note(_say("decided", n=n))] if n else [])]


def leaderboard_finding(board: Leaderboard) -> Record:
    """State which encoders stand first on a leaderboard, and which are told apart. No full stop."""
    first = _of_the_first(board.frame)
    return _say("several", parts=(first, *better)) if (better := _better(board)) else first


def _better(board: Leaderboard) -> list[Record]:
    """Of each of the best encoders, those that it is told apart from and that are worse."""
    apart = board.pairs.loc[board.pairs["apart"].to_numpy(bool)]  # the first of a pair is the better one
    worse = {str(name): tuple(part["second"]) for name, part in apart.groupby("first", sort=False)}
    return [_say("better", what=name, names=names) for name, names in [*worse.items()][:MOST_BETTER]]


def _of_the_first(frame: pd.DataFrame) -> Record:
    first = frame.iloc[0]
    name, value, n = str(first["study"]), float(first["accuracy"]), int(first["n"])
    level = tuple(frame.loc[frame["group"] == 1, "study"].iloc[1:])
    if len(level) == len(frame) - 1:
        return _say("all_level", what=name, value=value, n=len(frame))
    if level:
        return _say("level", what=name, value=value, n=n, names=level)
    return _say("best", what=name, value=value, n=n)


def encoder_to_take(board: Leaderboard) -> Record:
    """Say which encoder of a leaderboard to go on with: of those level with the first the fastest."""
    level = board.frame.loc[board.frame["group"] == 1].reset_index(drop=True)
    costs = numbers(level, "milliseconds")
    is_fastest = len(level) > 1 and bool(np.isfinite(costs).all())
    place = int(costs.argmin()) if is_fastest else 0
    name = str(level["study"].iloc[place])
    encoder = titled_encoder(board.studies[board.names.index(name)])
    if not is_fastest:
        return _say("take", what=name, why=encoder)
    return _say("take_fastest", what=name, why=encoder, n=len(level), value=float(costs[place]))


def scope_of(board: Leaderboard) -> Record:
    """Say which images a leaderboard is of, and who is asked about them."""
    return _say("scope", parts=(board.folds.population,))


def disagreements(board: Leaderboard) -> pd.DataFrame:
    """List the images that some encoders of a leaderboard get right and others wrong, most divided first.

    Returns:
        row (of the first study), place (among the images), n_right (encoders), divided (share of the smaller
        side, up to .5). Of equally divided ones those come first that the best encoders get wrong.
    """
    k = len(board.correct)
    n_right = board.correct.sum(0)
    places = np.flatnonzero((n_right > 0) & (n_right < k))
    smaller = np.minimum(n_right, k - n_right)[places]
    first_wrong = (~board.correct[:, places]).argmax(0)  # the rank of the best encoder that is wrong
    order = np.lexsort((places, first_wrong, -smaller))
    places, smaller = places[order], smaller[order]
    rows = board.folds.shared.rows[0][places]
    return pd.DataFrame({"row": rows, "place": places, "n_right": n_right[places], "divided": smaller / k})


# A leaderboard as text: for the terminal and the page, as Markdown and JSON.


TITLES = {
    "letters": "Group",
    "study": "Study",
    "encoder": "Encoder",
    "accuracy": "Accuracy",
    "knn": "k-NN",
    "q_auroc": "AUROC of Q",
    "confidence_auroc": "AUROC of confidence",
    "worst_class": "Worst class",
    "worst_slice": "Worst slice",
    "milliseconds": "ms a picture",
    "parameters": "Parameters",
}
SHARES = ("accuracy", "knn", "worst_class", "worst_slice")
NOTHING = "–"
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
LEGEND = (
    "Ranges are 95 % intervals. Encoders that share a letter cannot be told apart in accuracy (paired "
    "bootstrap over units of data, Holm over all pairs at .05)."
)


def leaderboard_cells(board: Leaderboard) -> list[list[str]]:
    """Return a leaderboard as titles and a row of texts for each encoder, best first."""
    rows = [list(TITLES.values())]
    for letters, study, encoder in board.frame[["letters", "study", "encoder"]].itertuples(index=False):
        numbers = number_cells(board, study)
        rows.append([letters, study, encoder, *(numbers[name].line for name in TITLES if name in numbers)])
    return rows


@dataclass(frozen=True)
class Cell:
    """A number of an encoder as text, its interval, and the part of the images that it is of."""

    value: str
    interval: str = ""
    of: str = ""

    @property
    def line(self) -> str:
        """All of it in one line: "57.1 % (36.5 to 75.5) dog"."""
        return " ".join(filter(None, [self.value, self.interval and f"({self.interval})", self.of]))


def number_cells(board: Leaderboard, study: str) -> dict[str, Cell]:
    """Return an encoder's numbers on a leaderboard by the columns of TITLES, but for who it is."""
    rows = board.frame.loc[board.frame["study"] == study].to_dict("records")
    row = {str(name): value for name, value in rows[0].items()}
    cells = {}
    for name in MEASURED:
        cell = _measured_cell(board.value(name, study), name)
        cells[name] = replace(cell, of=row.get(f"{name}_name", ""))
    cells["milliseconds"] = Cell(formatted(row["milliseconds"], 1, undefined=NOTHING))
    cells["parameters"] = Cell(_size_text(row["parameters"]))
    return cells


def _measured_cell(row: Mapping[str, Any], measure: str) -> Cell:
    """Return a cell of a leaderboard: a number of an encoder with its interval."""
    value, low, high = (float(row.get(key, np.nan)) for key in ("value", "low", "high"))
    if not np.isfinite(value):
        return Cell(NOTHING)
    scale, digits = (100, 1) if measure in SHARES else (1, 3)
    text = percent(value) if measure in SHARES else formatted(value, digits)
    has_ends = np.isfinite([low, high]).all()
    return Cell(text, f"{scale * low:.{digits}f} to {scale * high:.{digits}f}" if has_ends else "")


def _size_text(n: float) -> str:
    """Write an encoder's number of weights for a leaderboard.

    >>> _size_text(4_652_008), _size_text(950), _size_text(float("nan"))
    ('4.7 M', '950', '–')
    """
    if not np.isfinite(n):
        return NOTHING
    for unit, letter in UNITS:
        if n >= unit:
            return f"{n / unit:.1f} {letter}"
    return f"{n:.0f}"


def pair_cells(board: Leaderboard) -> list[list[str]]:
    """Return titles, and a row of texts for each pair of encoders of a leaderboard."""
    rows = [["First", "Second", "Difference", "Images apart", "p", "p after Holm", "Told apart"]]
    for pair in board.pairs.to_dict("records"):
        gap, low, high = (100 * pair[name] for name in ("difference", "low", "high"))
        change = signed(gap, 1) if pair["few"] else signed_interval(gap, low, high, digits=1)
        tests = ["too few", "", ""]
        if not pair["few"]:
            tests = [
                formatted(pair["p"], 4),
                formatted(pair["adjusted"], 4),
                "yes" if pair["apart"] else "no",
            ]
        rows.append([pair["first"], pair["second"], f"{change} points", f"{pair['n_apart']:,}", *tests])
    return rows


def leaderboard_text(board: Leaderboard, *, as_markdown: bool = False) -> str:
    """Return what `compare --leaderboard` prints, or the same as Markdown."""
    tables = [leaderboard_cells(board), pair_cells(board)]
    shown = ["\n".join(markdown_table(table)) if as_markdown else columns_text(table) for table in tables]
    notes = [f"{'* ' * as_markdown}note: {note}" for note in notes_of(board)]
    head = f"{'# ' * as_markdown}{leaderboard_finding(board)}"
    above = [head, "", scope_of(board), *(["", *notes] if notes else [])]
    return "\n".join([*above, "", shown[0], "", LEGEND, "", shown[1]])


def leaderboard_report(board: Leaderboard) -> dict[str, Any]:
    """Return a leaderboard as a JSON-able dict."""
    notes = list(map(str, notes_of(board)))
    finding, images = str(leaderboard_finding(board)), str(board.folds.population)
    return {
        "leaderboard": board.frame.to_dict("records"),
        "measures": board.measures.to_dict("records"),
        "pairs": board.pairs.to_dict("records"),
        "finding": finding,
        "images": images,
        "notes": notes,
    }

"""A comparison as text: for the terminal, and as Markdown, CSV or JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.formatting import counted, first_of, signed
from core.common.records import Templates
from core.compare.answers import agreement_lines
from core.compare.compare import Comparison, records, titled
from core.compare.images import GAINED, LOST, SIDES, left_out
from core.compare.measures import MEASURES, PERCENT
from core.measures.intervals import leaves_out_0

FACT_TITLES = {
    "n_features": "Features",
    "n_discriminative": "Features discriminative on train images",
    "n_explainable": "Explainable features",
    "n_interpretable_features": "Interpretable features",
    "n_concepts": "Distinct words",
}
_say = Templates.beside(__file__)
NAMED_WORDS, NAMED_CLASSES = 8, 6
MINUS = "\N{MINUS SIGN}"
STAR, DAGGER = "*", " \N{DAGGER}"
LEGEND = (
    "In brackets 95 % intervals; changes are against the first study, on the same resampled images."
    " * the interval of the change leaves out 0."
)
OF_ANSWERS = (
    "In brackets 95 % intervals: Wilson's of an accuracy, Newcombe's for paired samples of a change of one, "
    "else by resampling the images. * the interval of the change leaves out 0."
)
NOT_ALIKE = f" {DAGGER.strip()} not comparable, see the notes."


def comparison_text(comparison: Comparison, *, as_markdown: bool = False) -> str:
    """Return a comparison of studies as text for the terminal, or as Markdown."""
    if as_markdown:
        return "\n".join(_markdown(comparison))
    parts = [head(comparison), "", columns_text(headline_cells(comparison)), legend(comparison)]
    if len(changes := class_change_rows(comparison)) > 1:
        parts += [
            "",
            "Accuracy of the classes that changed most"
            + ("" if comparison.pair else f" ({counted(len(comparison.names), 'study', 'studies')})"),
        ]
        parts.append(columns_text(changes))
    parts += ["", *sides_lines(comparison), *comparison.estimates.sentences()]
    parts += [*word_lines(comparison), *comparison.transfers.sentences()]
    return "\n".join(parts)


def _markdown(comparison: Comparison) -> list[str]:
    lines = [
        f"# {' / '.join(comparison.names)}",
        "",
        *(f"* {line}" for line in head(comparison).splitlines()),
        "",
    ]
    lines += [*markdown_table(headline_cells(comparison)), "", legend(comparison), ""]
    if len(changes := class_change_rows(comparison, most=None)) > 1:
        lines += ["## Accuracy by class", "", *markdown_table(changes), ""]
    lines += ["## Right alone", "", *(f"* {line}" for line in sides_lines(comparison)), ""]
    if estimated := comparison.estimates.sentences():
        lines += ["## Accuracy without labels", "", *(f"* {line}" for line in estimated), ""]
    about_words = [*word_lines(comparison), *comparison.transfers.sentences()]
    return [*lines, "## Words", "", *(f"* {line}" for line in about_words)] if about_words else lines


def head(comparison: Comparison) -> str:
    """State how many images are compared between studies, with notes."""
    shared = comparison.shared
    kind, but = "evaluation_images" if shared.held_out else "images", left_out(int(shared.other_label.sum()))
    judged = _say(kind, n=int(shared.judged.sum()), why=but)
    if comparison.pair:
        lines = [_say("of_answers", what=shared.studies[0].name, parts=(judged,))]
    else:
        kind, n_studies = "of_both" if len(comparison.names) == 2 else "of_all", len(comparison.names)
        lines = [_say(kind, n=shared.n_images, of=n_studies, parts=(judged,))]
    if comparison.among:
        lines.append(_say("narrowed", why=comparison.among.describe(), what=comparison.names[0]))
    lines += [_say("note", what=str(note)) for note in comparison.notes]
    return "\n".join([*lines, *premise_lines(comparison)])


def premise_lines(comparison: Comparison) -> list[str]:
    """State for each compared study what its Q is worth; that is known of all its images only."""
    of = " (all images)" if comparison.narrowed else ""
    lines = []
    for fact in records(comparison.facts):
        if isinstance(fact["premise"], str):
            lines.append(f"{fact['study']}{of}: {fact['premise']} {fact['premise_facts']}".rstrip())
    return lines


def legend(comparison: Comparison) -> str:
    """Explain the brackets and marks in the text of a comparison of studies."""
    if comparison.pair:
        return OF_ANSWERS
    return LEGEND + (NOT_ALIKE if comparison.not_comparable else "")


def numbers_table(comparison: Comparison) -> pd.DataFrame:
    """Return the numbers of a comparison as a data frame, a row for each measure and study.

    Returns:
        measure, title, unit (share, count or plain), study, value, low, high, compared_with, difference,
        difference_low, difference_high, significant (None without an interval), n, images.
    """
    first, rows = comparison.names[0], []
    for row in records(titled(comparison.measures)):
        percent = MEASURES[row["measure"]].unit == PERCENT
        apart = {name: row[name] for name in ("difference", "difference_low", "difference_high")}
        sure = leaves_out_0(*list(apart.values())[1:]) if np.isfinite(apart["difference_low"]) else None
        of_measure = {name: row[name] for name in ("measure", "title")}
        of_measure |= {"unit": "share" if percent else "plain"}
        of_measure |= {name: row[name] for name in ("study", "value", "low", "high")}
        of_measure |= {"compared_with": first if row["study"] != first else None} | apart
        of_measure |= {"significant": sure if sure is None else bool(sure)}
        of_measure |= {"n": row["n"], "images": comparison.population}
        rows.append(of_measure)
    for name, title in FACT_TITLES.items():
        facts = [fact for fact in records(comparison.facts) if pd.notna(fact[name])]
        base = next((fact[name] for fact in facts if fact["study"] == first), None)
        for fact in facts:
            row = {"measure": name, "title": title, "unit": "count", "study": fact["study"]}
            row |= {"value": fact[name], "images": "all images"}
            if fact["study"] != first and base is not None:
                row |= {"compared_with": first, "difference": fact[name] - base}
            rows.append(row)
    return pd.DataFrame(rows, columns=pd.Index(NUMBERS))


NUMBERS = [
    "measure", "title", "unit", "study", "value", "low", "high", "compared_with", "difference",
    "difference_low", "difference_high", "significant", "n", "images",
]  # fmt: skip


def headline_cells(comparison: Comparison) -> list[list[str]]:
    """Return cells of a comparison: the numbers of each study, and the change of all but the first."""
    return [row[1:] for row in headline_rows(comparison)]


def headline_rows(comparison: Comparison) -> list[list[str]]:
    """Return the rows of `headline_cells` of a comparison, each with its measure's name in front."""
    first, *others = comparison.names
    rows = [["", "", first, *(cell for name in others for cell in (name, "change"))]]
    for name in dict.fromkeys(comparison.measures["measure"]):
        measure, cells = MEASURES[name], []
        for study in comparison.names:
            row = comparison.value(name, study)
            cells.append(amount(row, measure.unit, measure.digits))
            if study != first:
                cells.append(change(row, measure.unit, measure.digits))
        rows.append([name, measure.title + DAGGER * (name in comparison.not_comparable), *cells])
    for name, title in FACT_TITLES.items():
        values = [fact[name] for fact in records(comparison.facts)]
        if any(pd.notna(value) for value in values):
            title += " (all images)" * comparison.narrowed
            rows.append([name, title + DAGGER * (name in comparison.not_comparable), whole(values[0])])
            for value in values[1:]:
                both = pd.notna(value) and pd.notna(values[0])
                apart = f"{int(value) - int(values[0]):+,}".replace("-", MINUS) if both else ""
                rows[-1] += [whole(value), apart]
    return rows


def whole(value: Any) -> str:
    """Format a whole number of a comparison of studies; "not known" for none."""
    return f"{int(value):,}" if pd.notna(value) else "not known"


def amount(row: dict[str, Any], unit: str, digits: int) -> str:
    """Format a measure of a compared study with its interval.

    >>> amount({"value": 0.5, "low": 0.45, "high": 0.55}, "percent", 1)
    '50.0 % (45.0 to 55.0)'
    """
    if not row or not np.isfinite(row["value"]):
        return "not known"
    scale, sign = (100, " %") if unit == PERCENT else (1, "")
    texts = (f"{scale * row[end]:.{digits}f}" for end in ("value", "low", "high"))
    value, low, high = (text.replace("-", MINUS) for text in texts)
    return f"{value}{sign} ({low} to {high})" if np.isfinite(row["low"]) else f"{value}{sign}"


def change(row: dict[str, Any], unit: str, digits: int) -> str:
    """Format a difference of compared studies with its interval, and a star if that excludes 0.

    >>> change({"difference": 0.05, "difference_low": 0.01, "difference_high": 0.09}, "percent", 1)
    '+5.0 points (+1.0 to +9.0) *'
    """
    if not row or not np.isfinite(row["difference"]):
        return ""
    scale = 100 if unit == PERCENT else 1
    low, high = scale * row["difference_low"], scale * row["difference_high"]
    text = signed(scale * row["difference"], digits) + (" points" if unit == PERCENT else "")
    if not np.isfinite(low):
        return text
    ends = f"({signed(low, digits)} to {signed(high, digits)})"
    return f"{text} {ends}{' ' + STAR if leaves_out_0(low, high) else ''}"


def class_change_rows(comparison: Comparison, *, most: int | None = NAMED_CLASSES) -> list[list[str]]:
    """Rows of cells by class, greatest changes (of any study) first; at most `most` classes."""
    table = comparison.classes
    if not len(table) or "accuracy" not in set(comparison.measures["measure"]):
        return []
    first, *others = comparison.names
    cells: dict[str, list[str]] = {}
    greatest: dict[str, float] = {}
    for row in records(table):
        label, accuracy = row["label"], f"{100 * row['accuracy']:.1f} %"
        if row["study"] == first:
            cells[label] = [f"{label} ({row['n']:,})", accuracy]
        else:
            cells[label] += [accuracy, change(row, PERCENT, 1)]
            greatest[label] = max(greatest.get(label, 0.0), abs(row["difference"]))
    order = sorted(cells, key=lambda label: (-greatest.get(label, 0.0), label))
    titles = ["class (images)", first, *(cell for name in others for cell in (name, "change"))]
    return [titles, *(cells[label] for label in order[:most])]


def sides_lines(comparison: Comparison) -> list[str]:
    """State on how many images which studies are right; of two answers, on how many they agree."""
    if comparison.pair:
        return agreement_lines(comparison)
    lines = []
    for name in comparison.names[1:]:
        counts = comparison.side_counts(name)
        if sum(counts.values()):
            sides = side_titles(comparison, name)
            of_sides = tuple(_say("of_side", n=counts[side], what=title) for side, title in sides.items())
            lines.append(_say("sides", names=(comparison.names[0], name), parts=of_sides))
            lines += _moved_lines(comparison, name)
    if not comparison.shared.judged.any():
        return ["no image is an evaluation image of all the studies, so none shows which is right alone"]
    return lines or ["no image has a known correctness in two studies: no probe, or no labels"]


def _moved_lines(comparison: Comparison, name: str) -> list[str]:
    """State Q and confidence, in each of two compared studies, of the images that one alone is right on."""
    lines = []
    titles = side_titles(comparison, name)
    for side in (GAINED, LOST):
        moved = comparison.changed(name, side)
        if not len(moved):
            continue
        means = []
        for what, column, digits in (("mean Q", "q", 3), ("confidence", "confidence", 2)):
            before, after = (numbers(moved, f"{column}_{when}").mean() for when in ("before", "after"))
            if np.isfinite(before) and np.isfinite(after):
                means.append(f"{what} {before:.{digits}f} and {after:.{digits}f}")
        lines.append(f"  {titles[side]}: {', '.join(means)}")
    return lines


def side_titles(comparison: Comparison, other: str) -> dict[str, str]:
    """Name each side of SIDES by the one of two compared studies that is right."""
    of_one = (_say("alone", what=name) for name in (other, comparison.names[0]))
    return dict(zip(SIDES, (*of_one, _say("both"), _say("neither")), strict=True))


def word_lines(comparison: Comparison) -> list[str]:
    """List the features' words of one study alone, compared with the first study that has words."""
    if comparison.words is None:
        return []
    first, lines = str(comparison.words.across["study"].iloc[0]), []
    for name, changes in comparison.words.changes.items():
        n_shared = int(comparison.words.matrix.to_numpy()[0, list(comparison.words.matrix).index(name)])
        lines.append(f"words of {first} and {name}: {n_shared} shared")
        for study, words in zip((name, first), changes.values(), strict=True):
            lines += [_say("only_words", what=study, names=(first_of(words, NAMED_WORDS),))] if words else []
    return lines


def columns_text(rows: Sequence[Sequence[str]]) -> str:
    """Align the cells of a comparison of studies in columns for a terminal."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format the cells of a comparison as a Markdown table; special characters are shown as text."""
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def _cell(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")

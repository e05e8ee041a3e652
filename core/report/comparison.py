"""The chapters of a comparison: numbers and their changes, classes, images that changed sides, words."""

from collections.abc import Sequence

import plotly.graph_objects as go

from core.charts import compared_classes, compared_scores, compared_words
from core.common.dataframes import numbers
from core.comparison import text as said
from core.comparison.compare import Comparison, compare
from core.comparison.sides import GAINED, LOST
from core.export.private_paths import without_folders
from core.report.inputs import Source
from core.report.page import Section, parts
from core.slices.slice import Slice
from core.store import Study

SHOWN = 12
Figures = list[tuple[str, str, go.Figure]]


def compared(
    studies: Sequence[Study], among: Slice | None = None
) -> tuple[list[Section], Figures, list[str]]:
    """The chapters, figures to put at the end of them (anchor, title, figure), and the studies' names.

    Args:
        among: only shared images of this slice of the first study.

    Raises:
        SettingsError, StudyError: as `core.comparison.compare.compare`.
    """
    comparison = compare(studies, among=among or Slice())
    sections = [_numbers(comparison), _classes(comparison), _sides(comparison), _words(comparison)]
    drawn: Figures = [("numbers", "Q-Score of correct and misclassified images", _distributions(comparison))]
    if len(comparison.classes):
        first, *others = comparison.names
        for name in others:
            title = f"Accuracy by class, {first} to {name}"
            drawn.append(("classes", title, compared_classes.class_changes(comparison.classes, first, name)))
    if comparison.words is not None:
        drawn.append(
            ("words", "Words that studies share", compared_words.concept_matrix(comparison.words.matrix))
        )
    return [section for section in sections if section.parts], drawn, comparison.names


def _numbers(comparison: Comparison) -> Section:
    head, *rows = said.headline_cells(comparison)
    notes = without_folders(said.head(comparison)).splitlines()
    return Section(
        "numbers",
        "Numbers side by side",
        [parts.bullets(notes), parts.table(head, rows), parts.quiet(said.legend(comparison))],
    )


def _classes(comparison: Comparison) -> Section:
    rows = said.class_change_rows(comparison)
    section = Section("classes", "Classes that changed most")
    if len(rows) > 1:
        section.parts = [parts.table(rows[0], rows[1:])]
    return section


def _sides(comparison: Comparison) -> Section:
    section = Section("sides", "Images that changed sides", [parts.bullets(said.sides_lines(comparison))])
    source = Source(comparison.shared.studies[0])
    for name in comparison.names[1:]:
        for side in (GAINED, LOST):
            moved = comparison.changed(name, side)
            if len(moved):
                section.parts += [
                    parts.heading(f"{comparison.names[0]} to {name}: {side}, the most confident first"),
                    source.tiles(numbers(moved, "row").astype(int)[:SHOWN]),
                ]
    return section


def _words(comparison: Comparison) -> Section:
    lines = [*said.word_lines(comparison), *comparison.transfers.sentences()]
    return Section("words", "Words", [parts.bullets(lines)] if lines else [])


def _distributions(comparison: Comparison) -> go.Figure:
    scores = {}
    for at, (name, study) in enumerate(zip(comparison.names, comparison.shared.studies, strict=True)):
        facts = Source(study).facts.iloc[comparison.shared.rows[at, comparison.shared.judged]]
        scores[name] = (numbers(facts, "q_score"), numbers(facts, "correct"))
    return compared_scores.score_distributions(compared_scores.score_table(scores))

"""The command `report`: one study, or several compared, as one HTML file that needs nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
from markupsafe import Markup

from core.charts import compared_studies
from core.charts.table_file import complete_file
from core.common.dataframes import numbers
from core.common.inside import check_output_file
from core.common.private_paths import without_folders
from core.compare import text as said
from core.compare.compare import Comparison, compare
from core.compare.images import GAINED, LOST
from core.errors import SettingsError
from core.measures.slice import Slice
from core.publish import image_sections, report_sections
from core.publish.report_page import (
    Section,
    Source,
    choose_interactive,
    definitions,
    embed,
    page,
    parts,
    study_charts,
)
from core.store import Narrowed, Study
from core.study.progress import Progress
from core.study.steps import STEPS

ENDINGS = (".html", ".htm")
SHOWN = 12
Figures = list[tuple[str, str, go.Figure]]


@dataclass(frozen=True)
class Chapter:
    """A chapter about one study: its parts, or why there are none: what `step` says of its item `needs`."""

    anchor: str
    title: str
    step: str
    parts: Callable[[Source], list[Markup]]
    needs: str = "images"

    def of(self, source: Source) -> Section:
        drawn = self.parts(source) if source.study.has(self.needs) else []
        return Section(self.anchor, self.title, drawn or [parts.paragraph(source.reason(self.step))])


HOLDS = Chapter("holds", "What it holds", "embed", report_sections.holds)
ACCURACY = Chapter("accuracy", "Accuracy", "probe", report_sections.accuracy)
SETTINGS = Chapter("settings", "Settings, versions and commands", "embed", report_sections.settings)
CHAPTERS = (
    HOLDS,
    ACCURACY,
    Chapter("quality", "Q-Score and its baselines", "quality", report_sections.quality, "quality_metrics"),
    Chapter("premise", "Verdict on the Q-Score", "quality", report_sections.premise),
    Chapter("features", "Features", "features", image_sections.features, "features"),
    Chapter("slices", "Slices", "probe", image_sections.slices),
    Chapter("worst", "Worst images", "quality", report_sections.worst_images, "quality"),
    Chapter(
        "heatmaps",
        "Where the discriminative features look",
        "heatmaps",
        image_sections.heatmaps,
        "heatmap_maps",
    ),
    Chapter(
        "overlap",
        "Overlap of heatmaps and masks (mIoU)",
        "overlap",
        image_sections.overlap,
        "overlap_summary",
    ),
    Chapter("failures", "Features behind the errors", "failures", image_sections.failures, "failure_pairs"),
    Chapter("causes", "Why images are wrong", "causes", image_sections.causes, "cause_rates"),
    Chapter("remedies", "What would help", "remedies", image_sections.remedies, "remedies"),
    Chapter("concepts", "Concepts", "concepts", image_sections.concepts, "explained"),
    SETTINGS,
)


def write_report(
    studies: Sequence[Study], out: str | Path, *, interactive: bool = False, progress: Progress | None = None
) -> Path:
    """Write the HTML report of studies; the file appears only when it is complete.

    Args:
        studies: one, or several over the same images: the first is what the others are compared with.
        interactive: charts as living plotly figures (4.5 MB) instead of pictures.
    Raises:
        SettingsError: the file is no .html, or there is no study. StudyError: the studies share no image.
    """
    out, progress = Path(out), progress or Progress.silent()
    check_output_file(out, "a report", ENDINGS)
    if not studies:
        raise SettingsError("which study? Name one or more")
    living, note = choose_interactive(interactive)
    text = (_one if len(studies) == 1 else _several)(studies, living, note, progress)
    with complete_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return out


def _one(studies: Sequence[Study], living: bool, note: str, progress: Progress) -> str:
    of_slice = " of a slice" if studies[0].chosen is not None else ""
    with progress.step("charts"):
        source = Source(studies[0], study_charts(studies[0], interactive=living, progress=progress))
    with progress.step("sections"):
        sections = study_sections(source, progress)
    intro = [*report_sections.introduction(source), *_said(note)]
    return page(f"{studies[0].name}: report{of_slice}", intro, sections, script=plotly_script(living))


def study_sections(source: Source, progress: Progress) -> list[Section]:
    """Return every chapter of a report about one study, its settings and the definitions."""
    chapters = [one for one in CHAPTERS if not STEPS[one.step].on_request or source.study.has(one.needs)]
    sections = []
    with progress.stage("chapters", total=len(chapters), unit="chapters") as bar:
        for chapter in chapters:
            sections.append(chapter.of(source))
            bar.update()
    return [*sections, _definition_section()]


def _several(studies: Sequence[Study], living: bool, note: str, progress: Progress) -> str:
    with progress.step("comparison"):
        first = studies[0]
        whole = [study.whole if isinstance(study, Narrowed) else study for study in studies]
        among = first.slice if isinstance(first, Narrowed) else None
        sections, figures, names = compared(whole, among)
    with progress.step("charts"):
        titles = [title for _, title, _ in figures]
        pieces = embed([figure for _, _, figure in figures], titles, living)
        for (anchor, _, _), chart in zip(figures, pieces, strict=True):
            next(section for section in sections if section.anchor == anchor).parts.append(chart)
    with progress.step("sections"):
        for at, (study, name) in enumerate(zip(studies, names, strict=True)):
            source = Source(study)
            for chapter in (HOLDS, ACCURACY, SETTINGS):
                section = chapter.of(source)
                sections.append(Section(f"{section.anchor}-{at}", f"{section.title}: {name}", section.parts))
    intro = [parts.paragraph(f"{names[0]} is what the others are compared with.")]
    intro += [*report_sections.narrowed_to(first), *_said(note)]
    return page(
        " / ".join(names) + ": comparison",
        intro,
        [*sections, _definition_section()],
        script=plotly_script(living),
    )


def _definition_section() -> Section:
    """Return the chapter of a report that defines its terms."""
    return Section("definitions", "Definitions", [definitions()])


def _said(note: str) -> list[Markup]:
    return [parts.quiet(note)] if note else []


def plotly_script(living: bool) -> str:
    """Return the script of a report that draws charts which are no pictures."""
    if not living:
        return ""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def compared(
    studies: Sequence[Study], among: Slice | None = None
) -> tuple[list[Section], Figures, list[str]]:
    """Return a report's chapters on compared studies, figures to put at the end, and the studies' names.

    The chapters, figures to put at the end of them (anchor, title, figure), and the studies' names.

    Args:
        among: only shared images of this slice of the first study.

    Raises:
        SettingsError, StudyError: as `core.compare.compare.compare`.
    """
    comparison = compare(studies, among=among or Slice())
    sections = [_numbers(comparison), _classes(comparison), _sides(comparison), _words(comparison)]
    drawn: Figures = [("numbers", "Q-Score of correct and misclassified images", _distributions(comparison))]
    if len(comparison.classes):
        first, *others = comparison.names
        for name in others:
            title = f"Accuracy by class, {first} to {name}"
            drawn.append(("classes", title, compared_studies.class_changes(comparison.classes, first, name)))
    if comparison.words is not None:
        drawn.append(
            ("words", "Words that studies share", compared_studies.concept_matrix(comparison.words.matrix))
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
    section = Section("classes", "Classes that differ most")
    if len(rows) > 1:
        section.parts = [parts.table(rows[0], rows[1:])]
    return section


def _sides(comparison: Comparison) -> Section:
    lines = parts.bullets(said.sides_lines(comparison))
    section = Section("sides", "Images that one study alone is right on", [lines])
    source = Source(comparison.shared.studies[0])
    for name in comparison.names[1:]:
        for side in (GAINED, LOST):
            moved = comparison.changed(name, side)
            if len(moved):
                which = said.side_titles(comparison, name)[side]
                title = f"{comparison.names[0]} and {name}: {which}, the most confident first"
                rows = numbers(moved, "row").astype(int)[:SHOWN]
                section.parts += [parts.heading(title), source.tiles(rows)]
    return section


def _words(comparison: Comparison) -> Section:
    lines = [*said.word_lines(comparison), *comparison.transfers.sentences()]
    return Section("words", "Words", [parts.bullets(lines)] if lines else [])


def _distributions(comparison: Comparison) -> go.Figure:
    scores = {}
    for at, (name, study) in enumerate(zip(comparison.names, comparison.shared.studies, strict=True)):
        facts = Source(study).facts.iloc[comparison.shared.rows[at, comparison.shared.judged]]
        scores[name] = (numbers(facts, "q_score"), numbers(facts, "correct"))
    return compared_studies.score_distributions(compared_studies.score_table(scores))

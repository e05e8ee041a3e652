"""The command `report`: one study, or several compared, as one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from core.errors import SettingsError
from core.export.files import complete_file
from core.jobs.progress import Progress
from core.report import image_sections, overview_section, scores
from core.report.charts import Charts, choose_interactive, embed, study_charts
from core.report.comparison import compared
from core.report.inputs import Source
from core.report.page import Section, definitions, page, parts
from core.store import Narrowed, Study


def write_report(
    studies: Sequence[Study],
    out: str | Path,
    *,
    interactive: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the report; the file appears only when it is complete.

    Args:
        studies: one, or several over the same images: the first is what the others are compared with.
        interactive: charts as living plotly figures (4.5 MB) instead of pictures.
    Raises:
        SettingsError: the file is no .html, or there is no study. StudyError: the studies share no image.
    """
    out, progress = Path(out), progress or Progress.silent()
    check_report_file(out)
    if not studies:
        raise SettingsError("which study? Name one or more")
    living, note = choose_interactive(interactive)
    text = (_one if len(studies) == 1 else _several)(studies, living, note, progress)
    with complete_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return out


def check_report_file(out: Path) -> None:
    """SettingsError for a file that a report cannot be written to, before any work is done."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"'{out}': a report is an .html file")
    if out.is_dir():
        raise SettingsError(f"'{out}' is a folder; name a file in it")


def _one(studies: Sequence[Study], living: bool, note: str, progress: Progress) -> str:
    source = Source(studies[0])
    of_slice = " of a slice" if studies[0].chosen is not None else ""
    with progress.step("charts"):
        charts = study_charts(studies[0], interactive=living)
    with progress.step("sections"):
        sections = [*study_sections(source, charts), overview_section.settings(source), definition_section()]
    intro = [*overview_section.introduction(source), *_said(note)]
    return page(f"{studies[0].name}: report{of_slice}", intro, sections, script=plotly_script(living))


def study_sections(source: Source, charts: Charts) -> list[Section]:
    """Every section about one study, but settings and definitions."""
    return [
        overview_section.holds(source),
        overview_section.accuracy(source),
        scores.quality(source, charts),
        scores.premise(source),
        image_sections.features(source, charts),
        image_sections.slices(source),
        scores.worst_images(source),
        image_sections.heatmaps(source),
        image_sections.overlap(source, charts),
        image_sections.failures(source),
        image_sections.concepts(source),
    ]


def _several(studies: Sequence[Study], living: bool, note: str, progress: Progress) -> str:
    with progress.step("comparison"):
        first = studies[0]
        sections, figures, names = compared(
            [study.whole if isinstance(study, Narrowed) else study for study in studies],
            first.slice if isinstance(first, Narrowed) else None,
        )
    with progress.step("charts"):
        titles = [title for _, title, _ in figures]
        pieces = embed([figure for _, _, figure in figures], titles, living)
        for (anchor, _, _), chart in zip(figures, pieces, strict=True):
            next(section for section in sections if section.anchor == anchor).parts.append(chart)
    with progress.step("sections"):
        for at, (study, name) in enumerate(zip(studies, names, strict=True)):
            source = Source(study)
            for section in (
                overview_section.holds(source),
                overview_section.accuracy(source),
                overview_section.settings(source),
            ):
                sections.append(_of(section, name, at))
    intro = [parts.paragraph(f"{names[0]} is what the others are compared with.")]
    intro += [*overview_section.narrowed_to(first), *_said(note)]
    return page(
        " / ".join(names) + ": comparison",
        intro,
        [*sections, definition_section()],
        script=plotly_script(living),
    )


def _of(section: Section, name: str, at: int) -> Section:
    return Section(f"{section.anchor}-{at}", f"{section.title}: {name}", section.parts)


def definition_section() -> Section:
    """What the terms of the page mean."""
    return Section("definitions", "Definitions", [definitions()])


def _said(note: str) -> list[Markup]:
    return [parts.quiet(note)] if note else []


def plotly_script(living: bool) -> str:
    """The script that draws charts which are no pictures."""
    if not living:
        return ""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()

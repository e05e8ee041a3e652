"""The commands `figure`, `publish` and `report`: figures and reports as files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.charts.options import FigureOptions
from core.cli import options
from core.cli.errors import refuse_options
from core.cli.left import refuse_left_name
from core.cli.sentences import say_of_command
from core.common.command_line import PROGRAM, basis_of
from core.common.formatting import counted
from core.common.inside import check_output_file
from core.errors import SettingsError, StudyError
from core.study.progress import Progress
from core.study.steps import step_of

if TYPE_CHECKING:
    from core.charts.chart import Chart, FolderChart
    from core.store import Study

EXTENSIONS = ".html, .svg, .png, .pdf or .json"
TABLE = ".csv"  # the numbers of a figure of the catalogue


def add_figure(commands: Any) -> None:
    """Add the command `figure` to the command line."""
    sample = "figure studies/demo heatmaps -o heatmaps.pdf --classes dog,flower --style paper-double"
    summary = "write one figure of the catalogue to a file"
    sub = options.add_command(commands, "figure", figure, summary, sample, notes=options.POPULATION)
    sub.add_argument("study", type=options.folder, nargs="?", metavar="STUDY", help="folder of the study")
    sub.add_argument("name", nargs="?", metavar="NAME", help="name of the figure; see --list")
    options.add_output(sub, f"file to write: {EXTENSIONS}; {TABLE} for its numbers", required=False)
    sub.add_argument("--list", action="store_true", help="list the figures and the steps that each needs")
    sub.add_argument(
        "--with",
        dest="others",
        action="append",
        type=options.folder,
        metavar="STUDY2",
        help="another study, for a comparison; may be repeated",
    )
    sub.add_argument(
        "--style",
        metavar="STYLE",
        help="paper, paper-single, paper-double or screen, which is wide and sans serif (default: paper)",
    )
    options.add_where(sub, "draw only the images of this slice")
    options.add_answer(sub)
    _add_font(sub)
    options.add_options(sub, FigureOptions)


def _add_font(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--font", metavar="FONT", help="font of the paper styles: serif or sans (default: serif)"
    )


def figure(args: argparse.Namespace) -> None:
    """Run the command `figure`: write one figure; without a name, list the catalogue."""
    given = vars(args)
    if "list" in given or "name" not in given:
        print(_listing())
        return
    from core.charts.catalogue import chart_named, draw
    from core.charts.chart import folder_charts
    from core.charts.figure_files import check_file
    from core.store import open_study
    from core.study.layers import layer

    name = given["name"]
    refuse_left_name("figure", name)
    of_folder = folder_charts().get(name)
    if of_folder is None:
        chart_named(name)
    if "output" not in given:
        raise SettingsError(say_of_command("which_file", what=EXTENSIONS))
    as_table = of_folder is None and given["output"].suffix.lower() == TABLE
    if not as_table:
        check_file(given["output"])
    if of_folder is not None:
        refuse_options(given, ("where", "answer"), say_of_command("of_images", what=name))
        if "others" in given:
            raise SettingsError(say_of_command("of_one_folder", what=name))
        _write(_of_folder(of_folder, given), given["output"])
        return
    kind = chart_named(name)
    basis = basis_of(given["study"])[1]
    others = [
        layer(path, basis) if basis and not basis_of(path)[1] else path for path in given.get("others", [])
    ]
    studies = [open_study(path, given.get("answer")) for path in (given["study"], *others)]
    studies = _narrowed(studies, given, same_images=kind.same_images)
    if as_table:
        print(f"{_write_table(studies, name, _chart_options(given), given['output'])}{_of(studies)}")
        return
    theme = {key: given[key] for key in ("style", "font") if key in given}
    chart = draw(studies, name, **theme, options=_chart_options(given))
    _write(chart, given["output"], _of(studies))
    layout: Any = chart.layout
    if layout.meta and layout.meta.get("note"):
        print(layout.meta["note"])


def _write(drawing: Any, out: Path, of: str = "") -> None:
    """Write a figure, and say which of its letters its fonts lack."""
    from core.charts.figure_files import STATIC, write_figure
    from core.charts.fonts import letters_in_words

    print(f"{write_figure(drawing, out)}{of}")
    if out.suffix.lower() in STATIC and (note := letters_in_words(drawing)):
        print(f"note: {note}")


def _write_table(studies: Sequence[Any], name: str, options: FigureOptions, out: Path) -> Path:
    """Write the numbers of a figure as the pages save them."""
    from core.charts.catalogue import table
    from core.charts.table_file import TableFile, answers_read, complete_file

    frame = table(studies, name, options=options)
    among = None if studies[0].chosen is None else studies[0].slice
    with complete_file(out) as temporary:
        names = tuple(study.name for study in studies)
        temporary.write_bytes(TableFile(names, name, frame, among, answers_read(*studies)).content())
    return out


def _narrowed(
    studies: Sequence[Study], given: Mapping[str, Any], *, same_images: bool = False
) -> list[Study]:
    """Narrow the studies of the command `figure` to its slice, if any; SliceError for one without images."""
    if "where" not in given:
        return list(studies)
    from core.charts.chart import narrowed_studies
    from core.measures.slice import Slice

    return narrowed_studies(studies, Slice.parse(given["where"]), same_images=same_images)


def _of(studies: Sequence[Any]) -> str:
    """Say which images a file is about, if it is about a slice."""
    if studies[0].chosen is None:
        return ""
    return f" ({counted(studies[0].n_chosen, 'image')}: {studies[0].slice.describe()})"


def _of_folder(chart: FolderChart, given: dict[str, Any]) -> Any:
    """Return a chart of a folder, which is not a study."""
    from core.charts.catalogue import theme_of

    chart_options = _chart_options(({"score": chart.score} if chart.score else {}) | given)
    theme = theme_of(given.get("style", "paper"), chart.column, given.get("font", "serif"))
    return chart.draw(given["study"], chart_options, theme)


def _chart_options(given: Mapping[str, Any]) -> FigureOptions:
    """The options of figures among those that were given."""
    names = FigureOptions.__dataclass_fields__
    return FigureOptions(**{name: value for name, value in given.items() if name in names})


def _listing() -> str:
    """Return what `figure` prints without a name: the catalogue, one line per figure, research last."""
    from core.charts.chart import folder_charts
    from core.charts.registry import CHARTS, WORKBENCH

    steps = {name: dict.fromkeys(step_of(item) or item for item in one.needs) for name, one in CHARTS.items()}
    rows = [(name, f"{_titled(one)}; needs {', '.join(steps[name])}") for name, one in CHARTS.items()]
    rows += [(chart.name, f"{_titled(chart)}; needs {chart.needs}") for chart in folder_charts().values()]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    lines.insert(len(WORKBENCH), "\nResearch:")
    return "\n".join([*lines, "", say_of_command("write_one", what=PROGRAM)])


def _titled(chart: Chart | FolderChart) -> str:
    return chart.title + (f" ({chart.source})" if chart.source else "")


def add_report(commands: Any) -> None:
    """Add the command `report` to the command line."""
    sample = "report studies/demo -o demo.html"
    summary = "write a self-contained HTML report of a study, or of a comparison of several"
    sub = options.add_command(commands, "report", report, summary, sample, notes=options.POPULATION)
    sub.add_argument(
        "studies", type=options.folder, nargs="+", metavar="STUDY", help="one or several of the same images"
    )
    options.add_output(sub, "file to write: .html")
    options.add_where(sub, "report only on the images of this slice")
    options.add_answer(sub)
    sub.add_argument(
        "--interactive",
        action="store_true",
        help="charts with tooltips and zoom; adds plotly.js (4.5 MB) to the file",
    )


def add_publish(commands: Any) -> None:
    """Add the command `publish` to the command line."""
    sample = "publish studies/demo -o site.zip"
    summary = "write a study as a web page with its pictures, which opens without a server"
    sub = options.add_command(commands, "publish", publish, summary, sample, notes=options.POPULATION)
    options.add_study(sub)
    options.add_output(sub, "new folder, or file that ends in .zip", metavar="OUT")
    sub.add_argument(
        "--to",
        choices=("site", "tensorboard", "wandb", "mlflow"),
        help="site, or numbers and pictures as a run of a tracker, in the folder OUT (left out: site)",
    )
    for name, most in (("images", 5000), ("features", 500)):
        sub.add_argument(
            f"--{name}", type=options.POSITIVE, metavar="N", help=f"at most N {name} (left out: {most:,})"
        )
    options.add_where(sub, "publish only the images of this slice")
    options.add_answer(sub)


def publish(args: argparse.Namespace) -> None:
    """Run the command `publish`: write the site, and print its place and size."""
    from core.publish.site import check_site, size_of, write_site

    tracker = getattr(args, "to", "site")
    if tracker == "site":
        check_site(args.output)
    study = options.study_of(args)
    if study.below is not None and (missing := study.why_missing("features")):
        raise StudyError(say_of_command("no_features", what=str(study.path), why=str(missing)))
    study = _narrowed([study], vars(args))[0]
    if tracker != "site":
        return _track(study, tracker, args)
    most = {name: getattr(args, name) for name in ("images", "features") if name in args}
    with Progress.for_command(None, stages_total=3) as progress:
        written = write_site(study, args.output, **most, progress=progress)
    print(f"{written}: {size_of(written) / 1e6:.1f} MB")


def _track(study: Any, tracker: str, args: argparse.Namespace) -> None:
    from core.publish.trackers import track

    if "images" in args:
        raise SettingsError(say_of_command("images_of_site", what=tracker))
    most = {"features": args.features} if "features" in args else {}
    with Progress.for_command(None, stages_total=1) as progress:
        written = track(study, tracker, args.output, **most, progress=progress)
    print(f"{args.output}: {counted(written, 'number or picture', 'numbers and pictures')}")


def report(args: argparse.Namespace) -> None:
    """Run the command `report`: write the HTML report, and print its path and size."""
    from core.publish.report import ENDINGS, write_report
    from core.store import open_study

    check_output_file(args.output, "a report", ENDINGS)
    studies = _narrowed(
        [open_study(path, getattr(args, "answer", None)) for path in args.studies], vars(args)
    )
    with Progress.for_command(None, stages_total=2 if len(studies) == 1 else 3) as progress:
        written = write_report(studies, args.output, interactive="interactive" in args, progress=progress)
    print(f"{written}: {written.stat().st_size / 1e6:.1f} MB{_of(studies)}")

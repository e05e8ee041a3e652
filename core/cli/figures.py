"""The command `figure`: one figure of the catalogue as a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.cli import options

SEARCH = "lambda_search"
EXTENSIONS = ".html, .svg, .png, .pdf or .json"


def add_figure(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser.

    Args:
        add: makes a subcommand from its name, function, summary and example.
    """
    sample = "figure studies/demo heatmaps -o heatmaps.pdf --classes dog,flower --style paper-double"
    sub = add(commands, "figure", figure, "draw one of the paper's figures of a study into a file", sample)
    sub.add_argument("study", type=Path, nargs="?", metavar="STUDY", help="folder of the study")
    sub.add_argument("name", nargs="?", metavar="NAME", help="which figure; --list names them")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help=EXTENSIONS)
    sub.add_argument("--list", action="store_true", help="list the figures and what each needs")
    sub.add_argument(
        "--with",
        dest="others",
        action="append",
        type=Path,
        metavar="STUDY2",
        help="a further study, to compare",
    )
    sub.add_argument(
        "--style",
        metavar="STYLE",
        help="paper (default), paper-single, paper-double or screen (wide, sans serif)",
    )
    add_font(sub)
    _add_choices(sub)


def add_font(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--font", metavar="FONT", help="of the paper styles: serif (default) or sans")


def _add_choices(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("what is shown (each figure uses what concerns it)")
    group.add_argument("--classes", type=_names, metavar="A,B", help="classes, by name")
    group.add_argument("--features", type=_numbers, metavar="J,K", help="features, by number")
    group.add_argument("--images", type=options.POSITIVE, metavar="N", help="pictures in a row or group")
    group.add_argument(
        "--score", metavar="NAME", help="q_score (default) or one of its rivals, e.g. confidence"
    )
    group.add_argument("--variant", choices=["paper", "binary", "soft", "energy"], help="of the overlap")
    group.add_argument("--mask", choices=["core", "spurious"], help="for miou_by_class")
    group.add_argument(
        "--combine", choices=["mean", "sum", "max", "min"], help="of the maps of several features"
    )
    group.add_argument(
        "--colours", metavar="MAP", help="of heatmaps: inferno (default), viridis, turbo, jet …"
    )
    options.add_device(sub)
    options.add_seed(sub)


def figure(args: argparse.Namespace) -> None:
    """Draw and write; without a name, list the catalogue."""
    given = vars(args)
    if "list" in given or "name" not in given:
        print(listing())
        return
    from core.errors import SettingsError
    from core.figures.catalogue import draw, entry_named
    from core.figures.files import check_file, write_figure
    from core.figures.options import FigureOptions
    from core.store import open_study

    searched = given["name"] == SEARCH
    if not searched:
        entry_named(given["name"])
    if "output" not in given:
        raise SettingsError(f"which file? Give -o FILE with the extension {EXTENSIONS}")
    check_file(given["output"])
    if searched:
        print(write_figure(_search(given), given["output"]))
        return
    studies = [open_study(path) for path in (given["study"], *given.get("others", []))]
    chosen = {name: given[name] for name in FigureOptions.__dataclass_fields__ if name in given}
    look = {"style": given.get("style", "paper"), "font": given.get("font", "serif")}
    drawn = draw(studies, given["name"], **look, options=FigureOptions(**chosen))
    print(write_figure(drawn, given["output"]))


def _search(given: dict[str, Any]) -> Any:
    """The figure of a `lambda-search` folder, which is no study."""
    from core.errors import SettingsError
    from core.figures.catalogue import STYLES
    from core.figures.lambda_search import lambda_grid, read_search
    from core.figures.theme import LIGHT, paper

    style = given.get("style", "paper")
    if style not in STYLES:
        raise SettingsError(f"no style '{style}'. Styles: {', '.join(STYLES)}")
    theme = LIGHT if style == "screen" else paper(column=style.partition("-")[2] or "double")
    return lambda_grid(read_search(given["study"]), measure=given.get("score", "top1"), theme=theme)


def add_figure_sheet(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command `figure-sheet` to the parser."""
    sample = "figure-sheet studies/demo roc rivals heatmap:0/10000003 -o sheet.pdf --columns 2"
    summary = "set several figures, images and heatmaps on one page of vectors"
    sub = add(commands, "figure-sheet", figure_sheet, summary, sample)
    sub.add_argument("study", type=Path, metavar="STUDY", help="folder of the study")
    sub.add_argument(
        "names", nargs="+", metavar="NAME", help="figures (figure --list), image:ID, heatmap:ID or masks:ID"
    )
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help=".pdf, or .png to look at; may be given twice",
    )
    sub.add_argument(
        "--columns", type=options.POSITIVE, metavar="N", help="of 3.5 in each, 1 to 4 (default 2)"
    )
    sub.add_argument("--no-letters", action="store_true", help="leave out (a), (b) …")
    add_font(sub)
    _add_choices(sub)


def figure_sheet(args: argparse.Namespace) -> None:
    """Draw, lay out and write."""
    from core.figures.options import FigureOptions
    from core.figures.printing import check_sheet_file, write_sheet
    from core.figures.sheet import check_sheet, make_sheet
    from core.jobs.progress import Progress
    from core.store import open_study

    given = vars(args)
    columns, font = given.get("columns", 2), given.get("font", "serif")
    check_sheet(given["names"], columns, font)
    for out in given["output"]:
        check_sheet_file(out)
    chosen = {name: given[name] for name in FigureOptions.__dataclass_fields__ if name in given}
    with Progress.for_command(None, stages_total=2) as progress:
        with progress.step("figures"):
            sheet = make_sheet(
                open_study(args.study),
                given["names"],
                columns=columns,
                font=font,
                letters="no_letters" not in given,
                options=FigureOptions(**chosen),
            )
        with progress.step("page"):
            for out in given["output"]:
                print(write_sheet(sheet, out))


def listing() -> str:
    """The catalogue, one line a figure."""
    from core.figures.catalogue import FIGURES

    width = max(map(len, FIGURES))
    lines = [
        f"{entry.name:<{width}}  {entry.title}{f' ([Q] {entry.source})' if entry.source else ''}"
        f"; needs {', '.join(dict.fromkeys(step for _, step in entry.needs))}"
        for entry in FIGURES.values()
    ]
    lines.append(f"{SEARCH:<{width}}  a grid of lambdas ([Q] Fig. A.8); takes the folder of a lambda-search")
    return "\n".join([*lines, "", "Draw one: python -m core figure STUDY NAME -o FILE"])


def _names(text: str) -> tuple[str, ...]:
    """
    >>> _names("dog, golden retriever")
    ('dog', 'golden retriever')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[int, ...]:
    """
    >>> _numbers("3,98")
    (3, 98)
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of feature numbers, as in 3,98") from None

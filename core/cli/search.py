"""The command `search`: the step that embeds the images with CLIP, and images found by a text."""

import argparse
from collections.abc import Mapping
from typing import Any

from core.cli import options, output
from core.cli.errors import refuse_options
from core.common.formatting import counted
from core.common.processes import is_first
from core.config import RunOptions, SearchConfig
from core.jobs.progress import Progress
from core.steps import STEPS


def add_search(commands: Any) -> None:
    sub = options.add_command(commands, "search", search, STEPS["search"].summary, STEPS["search"].example)
    options.add_study(sub)
    options.add_answer(sub)
    sub.add_argument(
        "text", nargs="?", metavar="TEXT", help="text to search for; without it, only embed the images"
    )
    sub.add_argument("--top", type=options.POSITIVE, metavar="N", help="number of images (default: 24)")
    sub.add_argument(
        "--slice", metavar="TEXT", help='only the images of this slice, such as "split=val correct=false"'
    )
    options.add_options(sub, SearchConfig)
    options.add_options(sub, RunOptions, *STEPS["search"].running)
    sub.add_argument("--redo", action="store_true", help="embed the images even if nothing has changed")
    options.add_json(sub)


def search(args: argparse.Namespace) -> None:
    """Search, and print the matching images."""
    from core.pipeline.text_search import run_search
    from core.slices.slice import Slice
    from core.storage.layers import below
    from core.store import open_study

    if "text" not in args:
        refuse_options(args, ("top", "slice"), "is of the images that a TEXT finds; give one")
    given = {name: value for name, value in vars(args).items() if name not in ("study", "text", "json")}
    with Progress.for_command(below(args.study) or args.study, stages_total=1) as progress:
        report = run_search(args.study, getattr(args, "text", None), given, progress)
    if is_first():
        report["filter"] = str(Slice.parse(given.get("slice", "")))
        read = open_study(args.study, given.get("answer"))
        output.show(report, matches_text, as_json="json" in args, of=read)


def matches_text(report: Mapping[str, Any]) -> str:
    """Return one line per image, most similar first."""
    lines = [f"{hit['cosine']:.3f}  {hit['image_id']}" for hit in report["found"]]
    if not report["text"]:
        return f"{counted(report['n_images'], 'image')} embedded with {report['clip']}"
    return "\n".join(lines or ["no images match"])

"""Commands to look around in a study: its map, and the search for images by a text."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from core.cli import options
from core.config import MAP_METHODS
from core.jobs.progress import Progress


def add_look_steps(add: Callable[[str], argparse.ArgumentParser]) -> None:
    """The step `map`."""
    sub = add("map")
    sub.add_argument(
        "--method",
        choices=MAP_METHODS,
        help="pca (default), or umap beside it, which needs umap-learn",
    )
    sub.add_argument(
        "--sample", type=options.POSITIVE, metavar="N", help="images it is fitted to (default 100,000)"
    )
    options.add_seed(sub)


def add_search(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command `search`."""
    sub = add(
        "search",
        search,
        "find images by a text, with CLIP; the first time it embeds all images",
        'search studies/demo "a red ball on grass" --top 10',
    )
    options.add_study(sub)
    sub.add_argument("text", nargs="?", metavar="TEXT", help="what to look for; without it, only embed")
    sub.add_argument("--top", type=options.POSITIVE, metavar="N", help="how many images (default 24)")
    sub.add_argument("--clip", metavar="MODEL[@WEIGHTS]", help="default: the one of the study's concepts")
    sub.add_argument("--slice", metavar="TEXT", help='only among these, as in "split=val correct=false"')
    options.add_device(sub)
    options.add_json(sub)


def search(args: argparse.Namespace) -> None:
    """Search and print what was found."""
    from core.cli import output
    from core.search.image_search import run_search

    given = {name: value for name, value in vars(args).items() if name not in ("study", "text", "json")}
    with Progress.for_command(args.study, stages_total=1) as progress:
        report = run_search(args.study, getattr(args, "text", None), given, progress)
    output.show(report, found_text, as_json="json" in args)


def found_text(report: Mapping[str, Any]) -> str:
    """One line an image, the nearest first."""
    lines = [f"{hit['cosine']:.3f}  {hit['image_id']}" for hit in report["found"]]
    if not report["text"]:
        return f"{report['n_images']} images are embedded by {report['clip']}"
    return "\n".join(lines or ["no image matches"])

"""The commands `search` and `fetch`: images found by a text, and the CLIP that finds them."""

import argparse
from collections.abc import Mapping
from typing import Any

from core.cli import options, output
from core.cli.errors import refuse_options
from core.cli.sentences import say_of_command
from core.common.command_line import command_line
from core.common.formatting import aligned
from core.common.processes import is_first
from core.concepts.photograph_clips import DEFAULT_CLIP, PHOTOGRAPH_CLIPS, PhotographClip, photograph_clip
from core.config import RunOptions, SearchConfig
from core.study.progress import Progress
from core.study.steps import STEPS

# The command `fetch`: get a CLIP of photographs, by which features have words.


def add_fetch(commands: Any) -> None:
    """Add the command `fetch` to the command line."""
    sub = options.add_command(
        commands,
        "fetch",
        fetch,
        "get a CLIP of photographs into the cache of open_clip, by which features have words",
        f"fetch clip {DEFAULT_CLIP}",
        notes="It comes from the Hugging Face hub; HF_ENDPOINT and HF_HOME name another hub or folder.",
    )
    sub.add_argument("what", choices=("clip",), help="what to get")
    sub.add_argument("name", nargs="?", metavar="NAME", help="which; without it, list them with their sizes")


def fetch(args: argparse.Namespace) -> None:
    """Run the command `fetch`: download a CLIP's weights unless they are here, or list what there is."""
    if "name" not in args or args.name is None:
        print(_clips_text())
        return
    clip = photograph_clip(args.name)
    from core.concepts.clip import clip_is_here, fetch_weights

    was_here = clip_is_here(clip.name)
    if not was_here:
        print(f"{clip.name}: {_about_clips(clip)}")
    path = fetch_weights(clip.name)
    print(f"{clip.name} {'was here already' if was_here else 'is here'}: {path}")
    print(f"words for a study: {command_line('concepts', 'STUDY')}")


def _clips_text() -> str:
    """Return what the command `fetch` lists: the CLIPs of photographs, one a line."""
    return aligned((one.name, _about_clips(one)) for one in PHOTOGRAPH_CLIPS)


def _about_clips(clip: PhotographClip) -> str:
    """Describe a CLIP in the list of the command `fetch`.

    >>> _about_clips(PHOTOGRAPH_CLIPS[0])
    '605 MB, MIT licence, trained on 400 million pictures of the web, by OpenAI'
    """
    return f"{clip.megabytes:,} MB, {clip.licence} licence, trained on {clip.pictures}"


# The command `search`: the step that embeds the images with CLIP, and images found by a text.


def add_search(commands: Any) -> None:
    """Add the command `search` to the command line."""
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
    """Run the command `search`: find images by a text, and print those that match."""
    from core.measures.slice import Slice
    from core.pipeline.run import run_search
    from core.store import open_study
    from core.study.layers import below

    if "text" not in args:
        refuse_options(args, ("top", "slice"), "is of the images that a TEXT finds; give one")
    given = {name: value for name, value in vars(args).items() if name not in ("study", "text", "json")}
    with Progress.for_command(below(args.study) or args.study, stages_total=1) as progress:
        report = run_search(args.study, getattr(args, "text", None), given, progress)
    if is_first():
        report["filter"] = str(Slice.parse(given.get("slice", "")))
        read = open_study(args.study, given.get("answer"))
        output.show(report, _matches_text, as_json="json" in args, of=read)


def _matches_text(report: Mapping[str, Any]) -> str:
    """Return what the command `search` prints: one line per image, most similar first."""
    lines = [f"{hit['cosine']:.3f}  {hit['image_id']}" for hit in report["found"]]
    if not report["text"]:
        return say_of_command("embedded", n=report["n_images"], what=report["clip"])
    return "\n".join(lines or [say_of_command("no_match")])

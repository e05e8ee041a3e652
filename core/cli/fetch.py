"""The command `fetch`: get a CLIP of photographs, by which features have words."""

import argparse
from typing import Any

from core.cli import options
from core.common.command_line import command_line
from core.common.formatting import aligned
from core.concepts.clip.photograph_clips import (
    DEFAULT_CLIP,
    PHOTOGRAPH_CLIPS,
    PhotographClip,
    photograph_clip,
)


def add_fetch(commands: Any) -> None:
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
    """Download the weights unless they are here, or list what there is."""
    if "name" not in args or args.name is None:
        print(clips_text())
        return
    clip = photograph_clip(args.name)
    from core.concepts.clip.clip import clip_is_here, fetch_weights

    was_here = clip_is_here(clip.name)
    if not was_here:
        print(f"{clip.name}: {about(clip)}")
    path = fetch_weights(clip.name)
    print(f"{clip.name} {'was here already' if was_here else 'is here'}: {path}")
    print(f"words for a study: {command_line('concepts', 'STUDY')}")


def clips_text() -> str:
    """Return the table of CLIPs, one a line."""
    return aligned((one.name, about(one)) for one in PHOTOGRAPH_CLIPS)


def about(clip: PhotographClip) -> str:
    """
    >>> about(PHOTOGRAPH_CLIPS[0])
    '605 MB, MIT licence, trained on 400 million pictures of the web, by OpenAI'
    """
    return f"{clip.megabytes:,} MB, {clip.licence} licence, trained on {clip.pictures}"

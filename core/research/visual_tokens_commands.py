"""The commands `extract-tokens` and `train-tokens`."""

import argparse
import json
from pathlib import Path
from typing import Any

from core.cli import options
from core.cli.train import FRESH, given_settings
from core.config import EmbedConfig
from core.errors import SettingsError
from core.research.visual_tokens_config import TokenTrainConfig, read_token_config
from core.research.visual_tokens_topic import ExtractConfig
from core.study.progress import Progress

EXTRACT = ("segmenter", "relations", "clip", "min_score", "min_relation")
TRAIN = ("output", "tokens", "vision", "pool", "epochs", "batch_size", "lr", "seed", "device")


def add_extract_tokens(commands: Any) -> None:
    """Add the research command `extract-tokens`, of visual tokens, to the command line."""
    sub = options.add_command(
        commands,
        "extract-tokens",
        _extract,
        "extract objects and relations of images as visual tokens",
        "extract-tokens 'glyphworld?preset=compose' -o tokens",
        "extract-tokens photos --segmenter python:mine:segmenter --relations none -o tokens",
    )
    sub.add_argument("images", metavar="IMAGES", help="images, as for `analyze --images`")
    sub.add_argument("-o", "--output", metavar="TOKENS", help="folder to write")
    options.add_options(sub, EmbedConfig, "val", "seed")
    options.add_options(sub, ExtractConfig, *EXTRACT)
    sub.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N, of CLIP (default: cpu)")
    sub.add_argument(
        "--study", type=options.folder, metavar="STUDY", help="also show the graphs of its images there"
    )
    sub.add_argument("--fresh", action="store_true", help="replace a TOKENS folder that is there")


def _extract(args: argparse.Namespace) -> None:
    """Run the research command `extract-tokens`, and print what the folder of visual tokens holds."""
    given = vars(args)
    if "output" not in given:
        raise SettingsError("which folder? Give -o TOKENS")
    from core.research.visual_tokens_extract import extract_tokens

    settings = {name: given[name] for name in ("val", "seed", "device") if name in given}
    with Progress.for_command(None, stages_total=1) as progress:
        folder = extract_tokens(
            args.images,
            args.output,
            ExtractConfig(**given_settings(args, EXTRACT)),
            progress=progress,
            fresh="fresh" in given,
            **settings,
        )
    about = folder.manifest
    counts = ", ".join(f"{about[f'n_{name}']:,} {name}" for name in ("images", "objects", "relations"))
    changed = [f"{name.replace('_', ' ')} {n}" for name, n in about.get("counts", {}).items() if n]
    print("\n".join([f"{args.output}: {counts}", *changed]))
    if "study" in given:
        _show(args.study, args.output)


def _show(study: str, tokens: str, model: str | None = None) -> None:
    """Show tokens, and what a model of them looks at, in a study, and print how many images show them."""
    from core.research.visual_tokens_attach import attach_to_study
    from core.research.visual_tokens_store import TokenFolder

    n_images = attach_to_study(study, TokenFolder(tokens), model)
    print(f"{n_images} images of {study} show them")


def add_train_tokens(commands: Any) -> None:
    """Add the research command `train-tokens`, of visual tokens, to the command line."""
    sub = options.add_command(
        commands,
        "train-tokens",
        train,
        "train an encoder of visual tokens on captions, with or without additive attention",
        "train-tokens configs/tokens_glyphworld.toml -o tokens.safetensors",
    )
    sub.add_argument("config", metavar="CONFIG", help="settings as .toml or .json; see configs/")
    options.add_options(sub, TokenTrainConfig, *TRAIN, defaults=dict.fromkeys(TRAIN, "as in CONFIG"))
    sub.add_argument(
        "--study", type=options.folder, metavar="STUDY", help="also show its graphs and attention there"
    )
    sub.add_argument("--fresh", action="store_true", help=FRESH)


def train(args: argparse.Namespace) -> None:
    """Run the research command `train-tokens` on visual tokens, and print the held-out retrieval."""
    with Progress.for_command(None, stages_total=2) as progress:
        config = read_token_config(args.config, **given_settings(args, TRAIN))
        from core.research.visual_tokens_train import train_tokens

        path = train_tokens(config, progress=progress, fresh="fresh" in args)
    about = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    print(f"{path}: {config.vision}, {config.epochs} epochs of {config.tokens}")
    for name, value in about["held_out"].items():
        print(f"  {name:18} {value:.4g}")
    if "study" in args:
        _show(args.study, config.tokens, str(path))

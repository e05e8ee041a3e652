"""The commands `extract-tokens`, `train-tokens` and `compositionality`."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.cli import options, output
from core.cli.train import FRESH, given_settings
from core.common.formatting import json_text
from core.config import EmbedConfig
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.research.visual_tokens.settings import ExtractConfig
from core.research.visual_tokens.training.config import TokenTrainConfig, read_token_config

EXTRACT = ("segmenter", "relations", "clip", "min_score", "min_relation")
TRAIN = ("output", "tokens", "vision", "pool", "epochs", "batch_size", "lr", "seed", "device")


def add_extract_tokens(commands: Any) -> None:
    sub = options.add_command(
        commands,
        "extract-tokens",
        extract,
        "extract objects and relations of images as visual tokens",
        "extract-tokens 'glyphworld?preset=compose' -o tokens",
        "extract-tokens photos --segmenter python:mine:segmenter --relations none -o tokens",
    )
    sub.add_argument("images", metavar="IMAGES", help="images, as for `analyze --images`")
    sub.add_argument("-o", "--output", metavar="TOKENS", help="folder to write")
    options.add_options(sub, EmbedConfig, "val", "seed")
    options.add_options(sub, ExtractConfig, *EXTRACT)
    sub.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N, of CLIP (default: cpu)")
    sub.add_argument("--fresh", action="store_true", help="replace a TOKENS folder that is there")


def extract(args: argparse.Namespace) -> None:
    """Extract, and print what the folder holds."""
    given = vars(args)
    if "output" not in given:
        raise SettingsError("which folder? Give -o TOKENS")
    from core.research.visual_tokens.extract import extract_tokens

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


def add_train_tokens(commands: Any) -> None:
    sub = options.add_command(
        commands,
        "train-tokens",
        train,
        "train an encoder of visual tokens on captions, with or without additive attention",
        "train-tokens configs/tokens_glyphworld.toml -o tokens.safetensors",
    )
    sub.add_argument("config", metavar="CONFIG", help="settings as .toml or .json; see configs/")
    options.add_options(sub, TokenTrainConfig, *TRAIN, defaults=dict.fromkeys(TRAIN, "as in CONFIG"))
    sub.add_argument("--fresh", action="store_true", help=FRESH)


def train(args: argparse.Namespace) -> None:
    """Train, and print the held-out retrieval."""
    with Progress.for_command(None, stages_total=2) as progress:
        config = read_token_config(args.config, **given_settings(args, TRAIN))
        from core.research.visual_tokens.training.train import train_tokens

        path = train_tokens(config, progress=progress, fresh="fresh" in args)
    about = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    print(f"{path}: {config.vision}, {config.epochs} epochs of {config.tokens}")
    for name, value in about["held_out"].items():
        print(f"  {name:18} {value:.4g}")


def add_compositionality(commands: Any) -> None:
    sub = options.add_command(
        commands,
        "compositionality",
        compositionality,
        "try models on captions whose words are exchanged; checks without images come first",
        "compositionality tokens.safetensors,asset:glyphworld --benchmark glyphworld --tokens tokens",
        "compositionality ViT-B-32@openai --benchmark aro --root ARO",
    )
    sub.add_argument(
        "models", type=options.names, metavar="MODEL[,MODEL…]", help="files of train-tokens, or CLIP models"
    )
    sub.add_argument(
        "--benchmark", metavar="NAME", help="glyphworld, aro or winoground (default: glyphworld)"
    )
    sub.add_argument(
        "--root", metavar="DIR", help="folder of its files; for glyphworld, glyphworld?preset=compose…"
    )
    sub.add_argument(
        "--tokens", metavar="TOKENS", help="folder with tokens of its images; others are extracted"
    )
    sub.add_argument(
        "--n", type=options.POSITIVE, metavar="N", help="items of a planted test (default: 1000)"
    )
    sub.add_argument(
        "--study", type=options.folder, metavar="STUDY", help="also show the results of its images there"
    )
    options.add_seed(sub, "the captions")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write the results: .json")
    options.add_json(sub)


def compositionality(args: argparse.Namespace) -> None:
    """Print the blind checks, then every model's results."""
    from core.research.visual_tokens.evaluation.run import compositionality as try_models

    given, as_json = vars(args), "json" in args
    settings = {name: given[name] for name in ("root", "tokens", "n", "seed") if name in given}
    with Progress.for_command(None, stages_total=3) as progress:
        report = try_models(
            args.models,
            given.get("benchmark", "glyphworld"),
            progress=progress,
            say=lambda line: None if as_json else print(line, flush=True),
            **settings,
        )
    items = report.pop("items")
    if "output" in given:
        args.output.write_text(json_text(report) + "\n", encoding="utf-8")
    if "study" in given:
        from core.research.visual_tokens.attach import attach_to_study
        from core.research.visual_tokens.evaluation.run import benchmark_source
        from core.research.visual_tokens.store import TokenFolder

        folder = TokenFolder(given["tokens"]) if "tokens" in given else None
        source = benchmark_source(given.get("benchmark", "glyphworld"), given.get("root"))
        n_images = attach_to_study(args.study, items, source, args.models, folder)
        report["shown"] = f"{n_images} images of {args.study} show them"
    output.show(report, results_text, as_json=as_json)


def results_text(report: Mapping[str, Any]) -> str:
    """Return a line for each test, model and measure."""
    lines = []
    for row in report["results"]:
        leaky = "  (leaky test)" if row["leaky"] else ""
        undefined = f", {row['n_undefined']} undefined" if row["n_undefined"] else ""
        between = f"{row['low']:.1%} to {row['high']:.1%}, chance {row['chance']:.1%}"
        lines.append(
            f"{row['test']:24} {row['model']:24} {row['measure']:18} {row['value']:7.1%}  "
            f"({between}, n {row['n']}{undefined}){leaky}"
        )
    for test, dropped in report["dropped"].items():
        lines += [f"{test}: {n} {what}" for what, n in dropped.items() if n]
    lines += [report["shown"]] if "shown" in report else []
    for test, notes in report["notes"].items():
        lines += [f"{test}: {note}" for note in notes]
    return "\n".join(lines)

"""Groups of options that several commands share. An option that is not given is absent from the namespace."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from core.errors import did_you_mean


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors and a suggestion for a mistyped command or option."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message.rstrip('.')}.{self._suggestion(message)} See: {self.prog} --help\n")

    def _suggestion(self, message: str) -> str:
        """The known option or choice that is nearest to the one that argparse complains about."""
        wrong = re.search(r"(?:unrecognized arguments: |invalid choice: ')([^\s']+)", message)
        if wrong is None:
            return ""
        known = [option for action in self._actions for option in action.option_strings]
        known += [str(choice) for action in self._actions for choice in action.choices or ()]
        return did_you_mean(wrong[1].partition("=")[0], known)


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the example on its own line, ready to paste."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=100)


def example(*lines: str) -> str:
    return "example:\n" + "\n".join(f"  python -m core {line}" for line in lines)


def epsilon(text: str) -> float | str:
    """
    >>> epsilon("auto"), epsilon("3.5")
    ('auto', 3.5)
    """
    if text == "auto":
        return text
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def triple(text: str) -> tuple[float, ...]:
    """
    >>> triple("0.485,0.456,0.406")
    (0.485, 0.456, 0.406)
    """
    values = tuple(float(part) for part in text.split(","))
    if len(values) not in (1, 3):
        raise ValueError
    return values * 3 if len(values) == 1 else values


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def whole_numbers(text: str) -> tuple[int, ...]:
    """
    >>> whole_numbers("3,98")
    (3, 98)
    """
    return tuple(int(part) for part in text.split(","))


def _reader(convert: Callable[[str], Any], wanted: str) -> Callable[[str], Any]:
    """`convert`, with a message that says what is wanted instead of naming a Python function."""

    def read(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not {wanted}") from None

    return read


EPSILON = _reader(epsilon, "a number of standard deviations (0 or more) or 'auto'")
TRIPLE = _reader(triple, "three numbers R,G,B")
POSITIVE = _reader(positive, "a whole number above 0")
COUNT = _reader(int, "a whole number")
NUMBER = _reader(float, "a number")
NUMBER_OR_AUTO = _reader(epsilon, "a number (0 or more) or 'auto'")
NUMBERS = _reader(whole_numbers, "feature numbers such as 3 or 3,98")


def add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of the study")


def add_images(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("images")
    group.add_argument(
        "--images",
        metavar="DIR",
        help="folder (CLASS/IMAGE, or train/ and val/ below it, or flat without labels), .csv or .parquet of "
        "paths and labels, 'SHARDS-{000..099}.tar', 'torchvision:NAME?root=DIR', or 'glyphworld'",
    )
    group.add_argument("--val", metavar="DIR", help="the evaluation images, where they lie elsewhere")
    group.add_argument("--strict", action="store_true", help="stop at the first unreadable image")


def add_encoder(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("encoder")
    group.add_argument(
        "--encoder",
        metavar="SPEC",
        help="torchvision:resnet50, timm:NAME?output_stride=16, resnet18@PATH.ckpt, timm:NAME@PATH, "
        "asset:NAME or python:package.module:factory",
    )
    group.add_argument(
        "--representations", metavar="FILE.npy", help="your own (N, r) representations instead of an encoder"
    )
    group.add_argument("--layer", metavar="NAME", help="layer to read (default: the last stage)")
    group.add_argument("--mean", type=TRIPLE, metavar="R,G,B", help="pixel mean, overrides the checkpoint's")
    group.add_argument("--std", type=TRIPLE, metavar="R,G,B", help="pixel standard deviation, likewise")
    group.add_argument("--input-size", type=POSITIVE, metavar="N", help="pixels that the encoder sees")
    group.add_argument("--resize", type=POSITIVE, metavar="N", help="shorter side before the crop")
    group.add_argument(
        "--precision",
        choices=["auto", "float32", "mixed"],
        help="of the encoder: auto (default) is mixed on CUDA, float32 elsewhere",
    )
    group.add_argument(
        "--dtype",
        choices=["float32", "float16"],
        help="how representations are stored (default float32; float16 takes half the disk)",
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    """How fast it runs, not what comes out (except `--seed`)."""
    group = parser.add_argument_group("running")
    group.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    add_batches(group)
    add_seed(group)


def add_batches(group: argparse._ActionsContainer) -> None:
    group.add_argument("--batch-size", type=POSITIVE, metavar="N", help="images a batch")
    group.add_argument("--workers", type=COUNT, metavar="N", help="processes that decode images")


def add_device(parser: argparse.ArgumentParser) -> argparse._ActionsContainer:
    group = parser.add_argument_group("running")
    group.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    return group


def add_seed(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--seed", type=COUNT, metavar="N", help="of the split and everything random (default 0)"
    )


def add_epsilon(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--epsilon",
        type=EPSILON,
        metavar="E",
        help="a feature fires above the row's mean + E standard deviations; 'auto' picks E (default 4)",
    )


def add_masks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("masks")
    group.add_argument(
        "--masks", metavar="DIR", help="folder with core/… and spurious/… masks named like the images"
    )
    group.add_argument(
        "--salient-imagenet", metavar="DIR", help="Salient ImageNet's masks, in their own layout"
    )
    group.add_argument(
        "--annotations",
        metavar="CSV",
        help="its worker answers (default: discover_spurious_features.csv there)",
    )


def add_captions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("words")
    group.add_argument(
        "--captions", metavar="PATH", help="bank of captions: .txt, .csv, .parquet or a LAION folder"
    )
    group.add_argument(
        "--clip", metavar="MODEL[@WEIGHTS]", help="any CLIP of open_clip, such as ViT-B-32@openai"
    )


def add_lr(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--lr", type=NUMBER, metavar="LR", help="the probe's learning rate (default: the best of four)"
    )


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="say what was found, the time and disk; do nothing"
    )
    parser.add_argument(
        "--samples", type=POSITIVE, metavar="N", help="thumbnails in --dry-run --json, as data URIs"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")

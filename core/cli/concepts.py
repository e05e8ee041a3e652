"""Commands on where features look and what they mean: heatmaps, overlap, concepts, failures, transfer."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from core.cli import options
from core.jobs.progress import Progress


def add_map_steps(add: Callable[[str], argparse.ArgumentParser]) -> None:
    """The steps `heatmaps` and `overlap`."""
    sub = add("heatmaps")
    options.add_masks(sub)
    sub.add_argument(
        "--top", type=options.POSITIVE, metavar="N", help="top images of each feature (default 16)"
    )
    sub.add_argument("--train", action="store_true", help="also all train images, not only those with masks")
    group = sub.add_argument_group("single maps, kept beside the study")
    group.add_argument("--image", metavar="ID", action="append", help="image id; may be repeated")
    group.add_argument("--feature", type=options.NUMBERS, metavar="J[,K]", help="features of those images")
    options.add_batches(options.add_device(sub))

    sub = add("overlap")
    options.add_masks(sub)
    sub.add_argument(
        "--threshold", type=options.NUMBER, metavar="T", help="heat that counts as looked at (default 0.5)"
    )
    sub.add_argument("--bootstrap", type=options.POSITIVE, metavar="N", help="resamples of the intervals")
    options.add_batches(options.add_device(sub))
    options.add_seed(sub)


def add_concept_steps(add: Callable[[str], argparse.ArgumentParser]) -> None:
    """The steps `concepts` and `failures`."""
    sub = add("concepts")
    options.add_captions(sub)
    sub.add_argument("--caption-column", metavar="NAME", help="column of a .csv or .parquet bank")
    group = sub.add_argument_group("which")
    group.add_argument("--features", type=options.NUMBERS, metavar="J[,K]", help="only these features")
    group.add_argument("--explainable", action="store_true", help="only single features")
    group.add_argument("--groups", action="store_true", help="only groups of several features")
    group.add_argument(
        "--k",
        type=options.NUMBER_OR_AUTO,
        metavar="N",
        help="highly activating: above mean + N std; default 'auto'",
    )
    group.add_argument("--split", choices=["val", "train", "all"], help="the probe images (default val)")
    group.add_argument("--min-images", type=options.POSITIVE, metavar="N", help="of a unit (default 10)")
    group.add_argument(
        "--gamma",
        type=options.NUMBER_OR_AUTO,
        metavar="G",
        help="least cosine of an interpretable group; 'auto'",
    )
    group = sub.add_argument_group("crops")
    group.add_argument("--threshold", type=options.NUMBER, metavar="T", help="heat that is cropped (0.6)")
    group.add_argument("--no-crop", dest="crop", action="store_false", help="captions of whole images")
    group = sub.add_argument_group("words")
    group.add_argument("--confidence", choices=["cosine", "softmax"], help="of a caption (default cosine)")
    group.add_argument(
        "--min-score",
        type=options.NUMBER,
        metavar="S",
        help="least score of a word (0.08; scaled for other CLIPs)",
    )
    group.add_argument(
        "--counter-score",
        type=options.NUMBER,
        metavar="S",
        help="of a word that discards (0.1; scaled for other CLIPs)",
    )
    group.add_argument("--beta", type=options.NUMBER, metavar="B", help="likeness of counterfactuals (0.7)")
    group.add_argument(
        "--faiss", action="store_true", help="look captions up in an approximate index (needs faiss-cpu)"
    )
    group.add_argument("--captioner", metavar="MODULE:FUNCTION", help="your captioner instead of a bank")
    options.add_device(sub)

    sub = add("failures")
    sub.add_argument("--top", type=options.POSITIVE, metavar="N", help="features a side (default 5)")
    sub.add_argument("--explained", action="store_true", help="only features that have words")
    sub.add_argument("--split", choices=["val", "train", "all"], help="of which images (default val)")


def transfer(args: argparse.Namespace) -> None:
    """Run the command `transfer`."""
    from core.cli import output
    from core.concepts.transfer.run import transfer

    options = {name: value for name, value in vars(args).items() if name not in ("source", "study")}
    with Progress.for_command(args.study, stages_total=1) as progress:
        summary = transfer(args.source, args.study, options, progress)
    output.show(summary, output.summary_text, as_json="json" in args)


def add_transfer(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command `transfer`."""
    sub = add(
        "transfer",
        transfer,
        "carry the concepts of one study to another over the same images",
        "transfer studies/first studies/second",
    )
    sub.add_argument("source", type=Path, metavar="SOURCE", help="study whose concepts are known")
    sub.add_argument("study", type=Path, metavar="TARGET", help="study that gets them")
    sub.add_argument("--redo", action="store_true", help="run it even if nothing has changed")
    sub.add_argument("--epochs", type=options.POSITIVE, metavar="N", help="of the linear map (default 10)")
    sub.add_argument("--lr", type=options.NUMBER, metavar="LR", help="its learning rate (default 1)")
    options.add_device(sub)
    options.add_seed(sub)
    options.add_json(sub)

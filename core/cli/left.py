"""Commands, options, charts and tables that were removed in 0.4.0, each with its replacement.

A key is a command (`figure-sheet`), an option of a command (`concepts --twins`), a chart (`figure NAME`) or a
table (`export NAME`).
"""

import argparse
from collections.abc import Sequence

from core.cli.sentences import say_of_command
from core.common.command_line import PROGRAM
from core.errors import SettingsError

LEFT: dict[str, str] = {  # what was typed -> what to use instead
    "figure-sheet": "figure STUDY NAME -o FILE for each, or the page Figures of the dashboard",
    "train-clip": "python -m reproductions.small_clip",
    "basis --with": "a basis of each study, and `compare` for their features",
    "compare --shared": "`compare` of the two studies, for the features that one gained or lost",
    "figure shared_latents": "`compare` of the two studies",
    "figure lacking_latents": "`compare` of the two studies",
    "lambda-search": "python -m reproductions.lambda_search, or `finetune` with each weight",
    "figure lambda_search": "python -m reproductions.lambda_search",
    "figure fda_table": "python -m reproductions.fda_gain_to_cifar --draw, or fda_order",
    "figure fda_transfer": "python -m reproductions.fda_gain_to_cifar --draw",
    "figure view_matrix": "python -m reproductions.fda_views",
    "figure augmentation_bars": "python -m reproductions.fda_augmentations --draw",
    "figure dual_table": "python -m reproductions.fda_dual --draw",
    "figure ddm_table": "python -m reproductions.domains --draw",
    "figure ddm_bars": "python -m reproductions.domains --draw",
    "grid": "the scripts of reproductions/, such as python -m reproductions.suppression",
    "compositionality": "python -m reproductions.compositionality",
    "figure aro_table": "python -m reproductions.tokens --draw",
    "figure winoground_table": "python -m reproductions.tokens --draw",
    "figure suppression": "python -m reproductions.suppression --draw",
    "figure tradeoff": "python -m reproductions.hard --draw",
    "figure loss_readout": "python -m reproductions.hard --draw",
    "figure ifm_table3": "python -m reproductions.ifm_variants --draw",
    "concepts --twins": "the column `auc` of `export STUDY concepts`, how well each feature tells its word",
    "export word_twins": "the column `auc` of `export STUDY concepts`, how well each feature tells its word",
    "slices --device": "`slices` without it: no image is looked at",
    "slices --fresh": "python -m reproductions.rendered_scenes --study STUDY",
    "human-study": "export STUDY human-study, and python -m reproductions.human_study for the answers",
    "mask-interventions": "python -m reproductions.mask_interventions --study STUDY",
}


def left_command(argv: Sequence[str]) -> str | None:
    """Return the line for a command line whose command left in 0.4.0; None for any other."""
    return _line(argv[0]) if argv and argv[0] in LEFT else None


def left_option(command: str, unknown: Sequence[str]) -> str | None:
    """Return the line for the first argument that is an option which left in 0.4.0; None without one.

    Args:
        unknown: the arguments that the parser does not know.
    """
    rows = (f"{command} {argument.partition('=')[0]}" for argument in unknown)
    return next((_line(row) for row in rows if row in LEFT), None)


def refuse_left_name(command: str, name: str) -> None:
    """Raise SettingsError for the name of a chart or table that left in 0.4.0: `figure NAME`."""
    if (row := f"{command} {name}") in LEFT:
        raise SettingsError(_line(row))


def _line(row: str) -> str:
    return say_of_command("left", what=f"{PROGRAM} {row}", names=(LEFT[row],))


def exit_with(parser: argparse.ArgumentParser, line: str) -> None:
    """End the process with the line on stderr, as for any other error that the user can fix."""
    parser.exit(2, f"error: {line}\n")

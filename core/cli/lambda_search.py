"""`python -m core lambda-search`: arguments, the call, the table and its figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.cli.finetune import add_reading, add_training_options, training_options
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.training.regularizers.config import READINGS

EXAMPLE = """examples:
  python -m core lambda-search studies/demo --values 1e-5,1e-4,1e-3 --epochs 5 --practical -o searches/demo
  python -m core lambda-search studies/demo --values 1e-4 --weights 1e-3,1e-2,1e-1 -o searches/demo
  python -m core figure searches/demo lambda_search -o search.pdf

Every pair of values is fine-tuned and judged as `finetune` and `analyze` would, and compared with the same
training without a regulariser. cells.csv grows cell by cell; the same command goes on where it was."""


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lambda-search`; `run_search` does what they say."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument("study", type=Path, metavar="STUDY", help="whose encoder, images and D are used")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="gets cells.csv and the figure")
    parser.add_argument(
        "--values", type=_numbers, metavar="A,B", help="of both lambdas (default 1e-5,1e-4,1e-3)"
    )
    parser.add_argument("--lambda1", type=_numbers, metavar="A,B", help="others for low Q-Scores")
    parser.add_argument("--lambda2", type=_numbers, metavar="A,B", help="others for common features")
    parser.add_argument("--weights", type=_numbers, metavar="A,B", help="also the Lasso, with these weights")
    add_reading(parser)
    add_training_options(parser)
    parser.add_argument("--keep", action="store_true", help="keep the fine-tuned encoders")


def run_search(arguments: argparse.Namespace, *, progress: Progress | None = None) -> Path:
    """Search, write FOLDER/cells.csv and FOLDER/lambda_search.html, and print the table."""
    if not arguments.output:
        raise SettingsError("which folder? Give -o FOLDER")
    from core.figures.files import write_figure
    from core.figures.lambda_search import lambda_grid
    from core.store import open_study
    from core.training.finetuning.lambda_search import TABLE, VALUES, cells_of, lambda_search

    values = arguments.values or VALUES
    cells = cells_of(
        arguments.lambda1 or values, arguments.lambda2 or values, weights=arguments.weights or ()
    )
    with progress or Progress(None, terminal=True) as reporter:
        table = lambda_search(
            open_study(arguments.study),
            arguments.output,
            cells,
            progress=reporter,
            keep=arguments.keep,
            reading=arguments.reading or READINGS[0],
            **training_options(arguments),
        )
    shown = ["cell", "top1", "mean_q_correct", "mean_q_misclassified", "q_auroc", "mean_firing", "near_zero"]
    said: Any = table[[name for name in shown if name in table]].round(4)
    print(said.to_string(index=False))
    figure = write_figure(lambda_grid(table), arguments.output / "lambda_search.html")
    print(f"{arguments.output / TABLE}, {figure}")
    return arguments.output / TABLE


def _numbers(text: str) -> tuple[float, ...]:
    """
    >>> _numbers("0,1e-4")
    (0.0, 0.0001)
    """
    try:
        values: Any = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers, as in 1e-5,1e-4") from None
    return values

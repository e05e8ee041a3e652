"""The command `lambda-search`. torch is imported only when the training starts."""

import argparse
from pathlib import Path
from typing import Any

from core.cli import options
from core.cli.finetune import add_studied, add_training_options, training_options
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.training.finetuning.defaults import VALUES
from core.training.regularizers.config import READINGS, RegularizerConfig

SEARCH_NOTES = """\
Each pair of values is trained and evaluated as by `finetune` and `analyze`, and compared with the
same training without a regulariser. cells.csv grows cell by cell; run the same command again to
continue."""


def add_lambda_search(commands: Any) -> None:
    sub = options.add_command(
        commands,
        "lambda-search",
        run_search,
        "fine-tune and evaluate over a grid of regulariser weights",
        "lambda-search studies/demo --values 1e-5,1e-4,1e-3 --practical --epochs 5 -o searches/demo",
        "lambda-search studies/demo --values 1e-4 --weights 1e-3,1e-2,1e-1 -o searches/demo",
        "figure searches/demo lambda_search -o search.pdf",
        notes=SEARCH_NOTES,
    )
    add_studied(sub)
    sub.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="folder for cells.csv and the figure"
    )
    for name, text in (
        ("--values", f"values of both lambdas (default: {options.default_text(VALUES)})"),
        ("--lambda1", "values of lambda1, which raises low Q-Scores (default: --values)"),
        ("--lambda2", "values of lambda2, which penalises common features (default: --values)"),
        ("--weights", "weights of the Lasso, which is searched as well"),
    ):
        sub.add_argument(name, type=options.NUMBERS, metavar="A,B", help=text)
    options.add_options(sub, RegularizerConfig, "reading")
    add_training_options(sub)
    sub.add_argument("--keep", action="store_true", help="keep the fine-tuned encoders")


def run_search(args: argparse.Namespace) -> None:
    """Search, write FOLDER/cells.csv and FOLDER/lambda_search.html, and print the table."""
    given = vars(args)
    with Progress.for_command(None, stages_total=2) as progress:
        if "output" not in given:
            raise SettingsError("which folder? Give -o FOLDER")
        from core.research.grids.runner import TABLE
        from core.research.lambda_search.search import cells_of, lambda_search
        from core.store import open_study

        values = given.get("values", VALUES)
        cells = cells_of(
            given.get("lambda1", values), given.get("lambda2", values), weights=given.get("weights", ())
        )
        table = lambda_search(
            open_study(args.study),
            args.output,
            cells,
            progress=progress,
            keep="keep" in given,
            reading=given.get("reading", READINGS[0]),
            **training_options(args),
        )
    from core.figures.files import write_figure
    from core.research.lambda_search.figure import lambda_grid

    columns = [
        "cell",
        "top1",
        "mean_q_correct",
        "mean_q_misclassified",
        "q_auroc",
        "mean_firing",
        "near_zero",
    ]
    print(table[[name for name in columns if name in table]].round(4).to_string(index=False))
    figure = write_figure(lambda_grid(table), args.output / "lambda_search.html")
    print(f"{args.output / TABLE}, {figure}")

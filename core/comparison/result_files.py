"""The files that a comparison is written to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from core.common.csv_text import write_csv
from core.common.formatting import json_text
from core.common.inside import check_output_file

FORMATS = (".csv", ".json", ".md")


def write_result(
    path: Path,
    *,
    table: Callable[[], pd.DataFrame],
    everything: Callable[[], dict[str, Any]],
    text: Callable[[], str],
) -> None:
    """Write what is compared: the table (.csv), everything (.json), or the text, which is Markdown (.md)."""
    ending = check_output_file(path, "a comparison", FORMATS)
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".csv":
        write_csv(table(), path)
        return
    written = json_text(everything()) if ending == ".json" else text()
    path.write_text(f"{written}\n", encoding="utf-8")

"""The files that a comparison is written to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from core.common.csv_text import write_csv
from core.common.formatting import json_text
from core.errors import SettingsError

FORMATS = (".csv", ".json", ".md")


def check_output(path: Path) -> None:
    """Raise SettingsError for a file type that a comparison cannot be written to."""
    if path.suffix not in FORMATS:
        raise SettingsError(f"'{path}': a comparison can be written as {', '.join(FORMATS)}")


def write_result(
    path: Path,
    *,
    table: Callable[[], pd.DataFrame],
    everything: Callable[[], dict[str, Any]],
    text: Callable[[], str],
) -> None:
    """Write what is compared: the table (.csv), everything (.json), or the text, which is Markdown (.md)."""
    check_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        write_csv(table(), path)
        return
    written = json_text(everything()) if path.suffix == ".json" else text()
    path.write_text(f"{written}\n", encoding="utf-8")

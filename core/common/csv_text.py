"""Tables as CSV text that a spreadsheet displays but does not execute.

A spreadsheet treats a cell or column name that begins with = + - @ (or a tab, a line break, or the
full-width form of one of these) as a formula, which may start programs or send data away. Such a text gets a
leading apostrophe; so does a text that begins with apostrophes followed by such a character. `as_written`
therefore restores every text. Numbers, and texts that are just a number, stay as they are.

>>> import io
>>> text = csv_text(pd.DataFrame({"image_id": ["=1+1", "a"], "margin": [-0.5, 2.0]}))
>>> text.splitlines()
['image_id,margin', "'=1+1,-0.5", 'a,2.0']
>>> pd.read_csv(io.StringIO(text)).map(as_written)["image_id"].tolist()
['=1+1', 'a']
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def harmless(value: Any) -> Any:
    """Return a value as a cell of CSV that no spreadsheet reads as a formula.

    >>> harmless("=1+1"), harmless("-0.5"), harmless("-x"), harmless(-0.5), harmless("'=x"), harmless("a=b")
    ("'=1+1", '-0.5', "'-x", -0.5, "''=x", 'a=b')
    """
    if not isinstance(value, str) or not FORMULA.match(value) or NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def as_written(value: Any) -> Any:
    """Return the value of a CSV cell as it was before `harmless` guarded it against spreadsheets.

    >>> [as_written(harmless(text)) for text in ("=1+1", "'=x", "'tis", "-0.5")]
    ['=1+1', "'=x", "'tis", '-0.5']
    """
    is_marked = isinstance(value, str) and value.startswith("'") and FORMULA.match(value)
    return value[1:] if is_marked else value


def _harmless_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts and column names are `harmless`; numeric columns are not changed."""
    columns = {}
    for position, (_, values) in enumerate(frame.items()):
        columns[position] = values.astype(object).map(harmless) if _may_hold_text(values) else values
    return pd.DataFrame(columns, index=frame.index).set_axis([harmless(str(c)) for c in frame], axis=1)


def _may_hold_text(values: pd.Series) -> bool:
    kind = values.dtype
    return not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind))


def csv_text(frame: pd.DataFrame, *, header: bool = True) -> str:
    """Return a table as CSV text: UTF-8 when encoded, one line per row, without an index."""
    return _harmless_frame(frame).to_csv(index=False, header=header, lineterminator="\n")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a data frame as a .csv file in UTF-8, without an index."""
    path.write_text(csv_text(frame), encoding="utf-8", newline="\n")


@contextmanager
def no_wide_rows(separator: str) -> Iterator[None]:
    """Let `pd.read_csv` refuse, within this block, a row of CSV with more fields than the header.

    It raises ValueError with `index_col=False`, as an unquoted comma makes such rows, and says its line
    and what to do.
    """
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            yield
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        line = re.search(r"in line (\d+), saw", str(error))
        if not line and isinstance(error, pd.errors.ParserError):
            raise
        what = "tab" if separator == "\t" else "comma"
        raise ValueError(
            f"line {line[1] if line else 2} has more fields than the header; put texts that hold a {what} "
            "into double quotes"
        ) from None

"""What the columns of exported tables mean, and what tables hold, in a few words each: `meanings.toml`."""

import tomllib
from pathlib import Path

from core.common.score_names import SCORES
from core.publish.export_files import CLASS_NAME, OF_CLASSES

_WRITTEN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_ENDS = {"": "{}", "_low": "lower end of {}", "_high": "upper end of {}"}
MEANINGS: dict[str, str] = _WRITTEN["column"] | {
    name + end: what.format(text)
    for name, text in _WRITTEN["with_interval"].items()
    for end, what in _ENDS.items()
}
TABLES: dict[str, str] = _WRITTEN["table"]


def table_meaning(table: str) -> str:
    """Say what an exported table holds; '' for one of research or of a later version."""
    return TABLES.get(table) or (TABLES["answer"] if table.startswith("answer_") else "")


def meaning(column: str) -> str:
    """Return what a column of an exported table means; '' for one of the image source."""
    of_class = column.removesuffix(CLASS_NAME)
    if column not in MEANINGS and column != of_class in OF_CLASSES:
        return MEANINGS["class_name"]
    return MEANINGS.get(column) or (SCORES[column].meaning if column in SCORES else "")

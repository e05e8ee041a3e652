"""Tables of Arrow as data frames."""

from __future__ import annotations

import ast
from pathlib import Path

import pyarrow as pa
import pytest

from core.common.arrow_tables import EXACT, as_frame, exact_or_text

ROOT = Path(__file__).parents[2]
TEXTS_ONLY = "core/concepts/caption_files.py"


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()])
def test_whole_numbers_stay_whole(kind):
    columns = {"full": [EXACT + 1, 2, EXACT + 3], "few": [None, 3, 4], "long": [None, EXACT + 1, 4]}
    table = pa.table({name: pa.array(values, kind) for name, values in columns.items()})
    for frame in (as_frame(table), exact_or_text(as_frame(table))):
        for name, values in columns.items():
            assert [int(one) for one in frame[name].dropna()] == [one for one in values if one is not None]
    assert frame["few"].dtype == "Int64" and frame["long"].dtype == "str"


def test_as_frame__is_the_one_way_from_arrow_to_pandas():
    sources = [path for folder in ("core", "dashboard") for path in (ROOT / folder).rglob("*.py")]
    with_own = set()
    for path in sources:
        called = [node.func for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
        names = {func.attr for func in called if isinstance(func, ast.Attribute)}
        if names & {"to_pandas", "read_parquet"}:
            with_own.add(path.relative_to(ROOT).as_posix())
    assert with_own == {"core/common/arrow_tables.py", TEXTS_ONLY}

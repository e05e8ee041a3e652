"""Tables of Arrow as data frames of pandas: whole numbers beside missing ones stay whole."""

import pandas as pd
import pyarrow as pa

WIDTHS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
EXACT = 2**53  # up to here a float rounds no whole number
NULLABLE = {pa.from_numpy_dtype(name.lower()): pd.api.types.pandas_dtype(name) for name in WIDTHS}


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Convert a table; pandas alone makes whole numbers beside missing ones floats, and rounds long ids."""
    frame = table.to_pandas()
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.type in NULLABLE and column.null_count:
            frame[field.name] = column.to_pandas(types_mapper=NULLABLE.get)
    return frame


def exact_or_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of images whose whole numbers beside missing ones are Int64; text where they are longer
    than a float holds, as what reads them later may make floats of them.
    """
    for name, column in frame.items():
        if column.dtype not in NULLABLE.values():
            continue
        values = [None if value is pd.NA else int(value) for value in column]
        is_long = any(value is not None and abs(value) >= EXACT for value in values)
        texts = [None if value is None else str(value) for value in values]
        frame[name] = pd.array(texts, dtype="str") if is_long else column.astype("Int64")
    return frame

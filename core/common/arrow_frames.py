"""Tables of Arrow as data frames of pandas: whole numbers beside missing ones stay whole."""

import pandas as pd
import pyarrow as pa

WIDTHS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
NULLABLE = {pa.from_numpy_dtype(name.lower()): pd.api.types.pandas_dtype(name) for name in WIDTHS}


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Convert a table; pandas alone makes whole numbers beside missing ones floats, and rounds long ids."""
    frame = table.to_pandas()
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.type in NULLABLE and column.null_count:
            frame[field.name] = column.to_pandas(types_mapper=NULLABLE.get)
    return frame

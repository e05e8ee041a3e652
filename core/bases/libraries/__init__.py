"""How other libraries write dictionaries: a file a family, and a row of the table in `core.bases.layouts`."""

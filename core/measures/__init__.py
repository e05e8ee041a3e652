"""Numbers of a population of images, one file a measure: arrays and tables in, a table out. No torch.

A step that stores a number, the pages, `inspect`, `figure`, `export` and the report call the same
function, so they show the same number. `core.measures.slice_tables` reads what a study holds.
"""

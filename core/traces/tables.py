"""The traces of a study as tables."""

import pandas as pd

from core.reader import StudyReader
from core.traces.traces import read_traces

IMAGE_COLUMNS = ("image_id", "label", "note", "tags", "wrong_label", "right_label")
FEATURE_COLUMNS = ("feature", "name", "note", "tags")
BETWEEN = ", "  # two tags, which hold no comma


def images_table(study: StudyReader) -> pd.DataFrame:
    """Return one row per image with a trace, by image id; without a label where the image is gone."""
    traces = read_traces(study.path).images
    labels = study.images.set_index("image_id")["label"].reindex(list(traces)).astype(object)
    rows = []
    for (image_id, one), label in zip(traces.items(), labels, strict=True):
        given = None if pd.isna(label) else label
        rows.append((image_id, given, one.note, BETWEEN.join(one.tags), one.wrong_label, one.right_label))
    return pd.DataFrame(rows, columns=list(IMAGE_COLUMNS)).astype(object)


def features_table(study: StudyReader) -> pd.DataFrame:
    """Return one row per feature with a trace, by number."""
    traces = sorted(read_traces(study.path).features.items())
    rows = [(number, one.name, one.note, BETWEEN.join(one.tags)) for number, one in traces]
    frame = pd.DataFrame(rows, columns=list(FEATURE_COLUMNS)).astype(object)
    return frame.astype({"feature": "int64"})

"""Tools that take what a study knows, by their names in a command."""

FIFTYONE, DATASETS, LABEL_STUDIO, CVAT = TOOL_NAMES = ("fiftyone", "datasets", "label-studio", "cvat")

"""The labels of a study, and nothing else."""

from __future__ import annotations

from typing import Any

import pandas as pd


class Labelled:
    def __init__(self, labels: list[str], names: list[str]):
        self.images: Any = pd.DataFrame({"label": labels})
        self.class_names = names
        self.groups = None

"""Rows of one image that say two things of it, and splits whose classes are named in two ways: both sides."""

from typing import NamedTuple

import pandas as pd


class Contradiction(NamedTuple):
    """The first image of which two rows say different things; rows count from 1."""

    image: str
    first: str
    row: int
    second: str
    other_row: int

    def __str__(self) -> str:
        return (
            f"'{self.image}' is '{self.first}' in row {self.row} and '{self.second}' in row {self.other_row}"
        )


def find_contradiction(images: pd.Series, values: pd.Series) -> Contradiction | None:
    """Find an image with two different values; rows without one say nothing.

    Args:
        images, values: of the same rows, in their order.
    """
    said = pd.DataFrame({"image": images.to_numpy(), "value": values.to_numpy()}).dropna()
    said = said.loc[said["image"].duplicated(keep=False)]
    firsts = said.groupby("image")["value"].transform("first")
    others = said.loc[said["value"] != firsts]
    if not len(others):
        return None
    row = int(others.index[0])
    image, second = others.loc[row, ["image", "value"]]
    first = int(said.index[said["image"] == image][0])
    return Contradiction(str(image), str(said.loc[first, "value"]), first + 1, str(second), row + 1)

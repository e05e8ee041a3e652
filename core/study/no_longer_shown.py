"""What studies of earlier versions hold that is not read any more: one table, and a line for each. No torch.

The files stay where they are, and `verify` still compares them; no page and no command shows them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.study.inside import is_inside

SINCE = "0.4.0"
# Items by what made them.
ITEMS = {
    "concepts --twins": ("word_twins",),
    "mask-interventions": (
        *("mask_responses", "mask_contrasts", "mask_groups", "mask_agreement", "mask_accuracy"),
    ),
}
FILES = {"compositionality": ("visual_tokens/swaps.parquet",)}  # beside the items
SETTINGS = {"twins"}  # of `concepts`: a study that has them stays current
TWO_ENCODERS = "basis --with"
OF_SECOND = "basis_{name}_other_{part}"  # arrays of a basis of two encoders
PARTS_OF_SECOND = ("decoder", "offset", "encoder", "pre_bias")


@dataclass(frozen=True)
class NoLongerShown:
    """Something that a study holds and that is not shown any more.

    Attributes:
        items: names of items, or of files below the study. made_by: what did, as it was typed.
        instead: what of it is still shown; "" for nothing.
    """

    items: tuple[str, ...]
    made_by: str
    instead: str = ""

    @property
    def line(self) -> str:
        """
        >>> NoLongerShown(("mask_accuracy",), "mask-interventions").line
        'mask_accuracy: made by mask-interventions, no longer shown since 0.4.0'
        """
        still = f"; {self.instead}" if self.instead else ""
        return f"{', '.join(self.items)}: made by {self.made_by}, no longer shown since {SINCE}{still}"

    def as_json(self) -> dict[str, Any]:
        """Return the attributes, and the line."""
        return {**asdict(self), "line": self.line}


def find_no_longer_shown(folder: Path, manifest: Mapping[str, Any]) -> list[NoLongerShown]:
    """Name what a study holds that is not shown any more: items of steps and of bases, and files."""
    return [*_items(manifest), *_files(folder)]


def names_no_longer_shown(manifest: Mapping[str, Any]) -> set[str]:
    """The names of the items of a study that nothing reads."""
    return {item for one in _items(manifest) for item in one.items}


def _items(manifest: Mapping[str, Any]) -> list[NoLongerShown]:
    return [*_by_table(manifest), *_of_bases(manifest)]


def _by_table(manifest: Mapping[str, Any]) -> Iterator[NoLongerShown]:
    for made_by, names in ITEMS.items():
        if present := tuple(name for name in names if name in manifest["items"]):
            yield NoLongerShown(present, made_by)


def _of_bases(manifest: Mapping[str, Any]) -> Iterator[NoLongerShown]:
    for entry in manifest["steps"].values():
        card = entry["summary"].get("basis")
        if not isinstance(card, dict) or "with" not in card:
            continue
        name = card.get("name")
        arrays = tuple(OF_SECOND.format(name=name, part=part) for part in PARTS_OF_SECOND)
        if present := tuple(array for array in arrays if array in manifest["items"]):
            yield NoLongerShown(
                present, TWO_ENCODERS, f"the basis '{name}' is, by this study's encoder alone"
            )


def _files(folder: Path) -> Iterator[NoLongerShown]:
    for made_by, names in FILES.items():
        if present := tuple(name for name in names if is_inside(folder, name) and (folder / name).is_file()):
            yield NoLongerShown(present, made_by)

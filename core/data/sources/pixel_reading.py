"""How values of pixels become 8 bits a channel, where a file alone does not say it. No torch."""

import math
from dataclasses import dataclass
from typing import Any

from core.errors import SettingsError

WHITE, DROP = "white", "drop"
OWN_RANGE = "file"


@dataclass(frozen=True)
class PixelReading:
    """What a user says of the pixels of image files.

    Attributes:
        value_range: the values that become black and white, in files of more than 8 bits a channel; None: by
            the type of the file (docs/method.md 1.5).
        own_range: from the lowest to the highest value of each file instead.
        transparency: "white": transparent parts on white; "drop": the colours below, as if all were opaque.
    """

    value_range: tuple[float, float] | None = None
    own_range: bool = False
    transparency: str = WHITE

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from `AS_STATED`, for a study's description of its images."""
        changed: dict[str, Any] = {}
        if self.value_range is not None:
            changed["value_range"] = list(self.value_range)
        if self.own_range:
            changed["own_range"] = True
        if self.transparency != WHITE:
            changed["transparency"] = self.transparency
        return changed

    @classmethod
    def from_dict(cls, described: dict[str, Any]) -> "PixelReading":
        """Return the reading that `to_dict` described."""
        given = described.get("value_range")
        value_range = (float(given[0]), float(given[1])) if given else None
        return cls(value_range, bool(described.get("own_range")), described.get("transparency", WHITE))


AS_STATED = PixelReading()


def reading_of(value_range: str | None, transparency: str | None) -> PixelReading:
    """Return the reading that two options name: `--range LOW,HIGH` (or `file`), `--transparency`.

    Raises:
        SettingsError: no two numbers, the first below the second.

    >>> reading_of("0,4095", None).value_range
    (0.0, 4095.0)
    """
    is_file_range, ends = value_range == OWN_RANGE, None
    if value_range is not None and not is_file_range:
        ends = _two_numbers(value_range)
    return PixelReading(ends, is_file_range, transparency or WHITE)


def _two_numbers(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingsError(f"--range '{text}' is not LOW,HIGH. Write --range 0,4095 or --range {OWN_RANGE}")
    return low, high

"""Which fine-tunings the experiment with eq. 3 has, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import SettingsError, did_you_mean

START = "start"
BASELINE = "none"
KINDS: dict[str, dict[str, Any]] = {  # settings of the regulariser, in the order of a table
    BASELINE: {"kind": "none"},
    "lasso": {"kind": "lasso"},
    "q-sum": {"kind": "q", "reading": "sum"},
    "q-printed": {"kind": "q", "reading": "printed"},
    "q-mean": {"kind": "q", "reading": "mean"},
}
FROZEN = "frozen"  # control: the baseline with fixed weights, of which only BatchNorm statistics move
RATES = ("practical", "paper")


@dataclass(frozen=True)
class Preset:
    """How many images and epochs."""

    images: str  # of fine-tuning and probe alike; an image set given by the user replaces it
    n_train: int | None  # of an image set given by the user; None: all
    n_val: int | None
    epochs: int  # of every fine-tuning; the paper's are 50


PRESETS = {
    # 33 fine-tunings of 4,000 images: 51 s of one core an epoch and 46 s to evaluate, 2 h 20 min in all.
    "cpu": Preset("glyphworld", n_train=5000, n_val=2000, epochs=4),
    "gpu": Preset("glyphworld?train=12000&val=2000", n_train=None, n_val=None, epochs=50),
}


@dataclass(frozen=True)
class Cell:
    """One fine-tuning, or the encoder before any."""

    kind: str  # of KINDS, FROZEN or START
    rate: str = ""  # of RATES; "" for the start
    seed: int = 0

    @property
    def name(self) -> str:
        return START if self.kind == START else f"{self.kind}-{self.rate}-{self.seed}"


def plan(
    seeds: Sequence[int] = (0, 1, 2), *, kinds: Sequence[str] = (*KINDS, FROZEN), rates: Sequence[str] = RATES
) -> list[Cell]:
    """List the cells, each once; seeds come last, so that an unfinished table is complete for the first.

    The frozen control is run at one rate only: its weights have none.

    Raises:
        SettingsError: an unknown kind or rate, a seed below 0, or nothing to run.
    """
    for given, accepted, name in ((kinds, (*KINDS, FROZEN), "kind"), (rates, RATES, "rate")):
        for value in given:
            if value not in accepted:
                listed = ", ".join(accepted)
                raise SettingsError(
                    f"Unknown {name} '{value}'. Known: {listed}.{did_you_mean(value, accepted)}"
                )
    if not kinds or not rates or not seeds:
        raise SettingsError("nothing to run: give at least one kind, one rate and one seed")
    if min(seeds) < 0:
        raise SettingsError(f"seed {min(seeds)} must be 0 or more")
    cells = [Cell(START)]
    for seed in seeds:
        for rate in rates:
            cells += [Cell(kind, rate, seed) for kind in kinds if kind != FROZEN]
        cells += [Cell(kind, rates[0], seed) for kind in kinds if kind == FROZEN]
    return list(dict.fromkeys(cells))

"""What a study lacks and why, as data; and the parts of a study that modules below its reader read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from PIL import Image

from core.common.command_line import command_line
from core.common.records import Record, Templates
from core.common.step_facts import Facts
from core.study import layers
from core.study.chunked_array import ChunkedArray
from core.study.steps import STEPS

# Missing items of a study with the reason, as data; each page and command makes its own sentence of it.


nothing = Templates.beside(__file__)  # why there is nothing here, for every page and command
State = Literal["missing", "stale", "damaged", "skipped", "whole", "earlier"]
REASONS: dict[State, str] = {
    "missing": "not run yet",
    "stale": "made from inputs or formulas that have changed since",
    "earlier": "of an earlier version, which did not make it",
}
# Items that a step has not always made, and the entry of its summary since.
SINCE = {"pictures": "pictures", "nearest_train": "n_train_compared"}
LEFT_OUT = "run with settings or images that leave it out"
NO_WEIGHTS = "no weights: it is not linear on the representation, or labels and outputs are not one to one"
OF_LATENTS = (
    "what a latent adds to an answer is not known where its code is the largest of many positions (fit the "
    "basis with --pool-codes mean), or where the dictionary or the answer scales each vector on its own"
)
WHOLE = "its numbers are of all images of the study, and there are none of a slice; leave out --where"
OF_ANSWER = "known of the linear probe alone, not of the answer that the study is read by"
NO_LABELS = "run without it: these images carry no labels, so none is classified correctly or wrongly"


@dataclass(frozen=True)
class Missing:
    """A step, or one table or array of it, that a study does not hold.

    Attributes:
        item: the table or array; None for a step as a whole.
        step: the step that writes it; "" for an item that no step writes.
        state: "missing" (the step was not run), "stale" (its inputs or formulas have changed since),
            "earlier" (a version ran it that did not make the item yet), "damaged" (a file cannot be read),
            "skipped" (the step ran and had a reason not to write it) or "whole" (it is of all images, and
            the study is narrowed to a slice).
        reason: what follows "the step … is", without a full stop.
        command: the command that mends it, to paste into a shell; "" where none does.
    """

    item: str | None
    step: str
    state: State
    reason: str
    command: str = ""

    @property
    def redo(self) -> bool:
        """True when the step has to run although neither its settings nor its inputs have changed."""
        return self.state in ("damaged", "earlier")

    @property
    def sentence(self) -> Record:
        """The reason as a whole sentence, of the kind that its state is.

        >>> Missing("q", "quality", "missing", "not run yet").sentence
        "The step 'Quality scores' is not run yet."
        """
        if not self.step:
            return nothing("not_held", why=f"{self.reason[:1].upper()}{self.reason[1:]}")
        title = STEPS[self.step].title if self.step in STEPS else self.step
        kind = self.state if self.state in ("damaged", "skipped", "whole") else "not_computed"
        return nothing(kind, what=title, why=self.reason.rstrip("."))

    def __str__(self) -> str:
        return f"{self.reason}. Run: {self.command}" if self.command else self.reason


def _command(step: str, folder: Path, **options: object) -> str:
    """A step in the basis that a folder is of, or of its study where it is the same in every basis."""
    whole = layers.below(folder)
    if step == "leaderboard":  # which needs the other studies, too
        return command_line("compare", whole or folder, "STUDY2", leaderboard=True)
    return command_line(
        step, folder if whole is None or (step in STEPS and STEPS[step].in_basis) else whole, **options
    )


def missing_step(folder: Path, step: str, state: str, item: str | None = None) -> Missing:
    """Describe an item of a study as lacking because its step was not run ("missing") or is "stale"."""
    reason: State = "stale" if state == "stale" else "missing"
    return Missing(item, step, reason, REASONS[reason], _command(step, folder))


def earlier_item(folder: Path, step: str, item: str) -> Missing:
    """Describe an item of a study that the version which ran its step did not make yet."""
    return Missing(item, step, "earlier", REASONS["earlier"], _command(step, folder, redo=True))


def damaged_item(folder: Path, step: str, item: str, what: str) -> Missing:
    """Describe an item of a study that cannot be read. what: file and fault, as in "a.parquet is gone"."""
    command = _command(step, folder, redo=True)
    return Missing(item, step, "damaged", f"damaged: {what}", command)


# The parts of a study that the modules below the store read, as a protocol.


class ReadableStudy(Protocol):
    """A study open for reading; `core.store.Study` documents each part."""

    path: Path
    manifest: dict[str, Any]

    @property
    def images(self) -> Any: ...  # pd.DataFrame; pyright does not accept a cached_property as a property
    @property
    def transform(self) -> Any: ...  # Transform
    @property
    def discriminative(self) -> np.ndarray: ...
    def state(self, step: str) -> str: ...
    def missing(self) -> dict[str, Missing]: ...
    def why_missing(self, item: str) -> Missing | None: ...
    def has(self, item: str) -> bool: ...
    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame: ...
    def column(self, table: str, name: str) -> pd.Series: ...
    def array(self, name: str) -> ChunkedArray: ...
    def vector(self, name: str) -> np.ndarray: ...
    def facts(self, kind: type[Facts]) -> Facts: ...
    def why_skipped(self, step: str) -> str: ...
    def image(self, image: str | int) -> Image.Image: ...
    def mask(self, image: str | int, kind: str, *, size: tuple[int, int] | None = None) -> np.ndarray: ...
    def heatmap(
        self, image: str | int, features: Sequence[int] | None = None, combine: str = "mean"
    ) -> np.ndarray: ...

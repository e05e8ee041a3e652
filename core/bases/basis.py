"""What a basis is, where a study keeps it, and which ones a study has. No torch.

The basis NAME of a study is a table `basis_NAME` with a row for each latent, the arrays of its dictionary
(`basis_NAME_decoder` and the others of PARTS), and the codes of the images, sparse by row: `basis_NAME_count`
(n_images,) says how many latents are active on each image, `basis_NAME_features` and `basis_NAME_values`
which and how strongly, image after image. A basis on positions has `basis_NAME_position_count` and the like,
position after position of an image, and an index of them (core/bases/position_index.py).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from core.bases.kinds import KINDS
from core.common.command_line import command_line
from core.common.formatting import MINUS, formatted
from core.common.records import Record, Templates
from core.common.verdict_words import ALIKE, SAME
from core.errors import SettingsError, did_you_mean
from core.study.inside import NAME
from core.study.layers import UNITS as UNITS
from core.study.reader import StudyReader

_say = Templates.beside(__file__)
STEP = "basis-{name}"  # the entry of the manifest
TABLE = "basis_{name}"
LATENTS = ("latent", "l0", "r2", "stability", "dead", "mean", "max")  # columns of the table
PARTS = ("decoder", "offset", "encoder", "bias", "pre_bias", "threshold")  # arrays of the dictionary


@dataclass(frozen=True)
class Basis:
    """One basis of a study.

    Attributes:
        kind: a name in KINDS. step: the entry of the manifest that made it.
        card: size, k, on, r2, r2_val, l0, dead, stability, encoder, layer, tokens …; None where unknown.
    """

    name: str
    kind: str
    step: str
    card: dict[str, Any] = field(default_factory=dict)

    def item(self, part: str) -> str:
        """The array of the study that holds a part: one of PARTS, `count`, `features` or `values`.

        >>> Basis("sae", "topk", "basis-sae").item("decoder")
        'basis_sae_decoder'
        """
        return f"{self.table}_{part}"

    @property
    def table(self) -> str:
        return TABLE.format(name=self.name)

    @property
    def facts(self) -> dict[str, Any]:
        """What `info --json` says of it."""
        numbers = {name: self.card.get(name) for name in ("size", "k", "r2", "l0", "dead", "stability")}
        return {"name": self.name, "kind": self.kind, **numbers}

    @property
    def notes(self) -> list[str]:
        """What a user should know before trusting it."""
        return list(self.card.get("notes", ()))

    @property
    def title(self) -> str:
        """What the pages call it.

        >>> Basis("sae", "topk", "basis-sae", {"size": 4096}).title
        'sae: 4,096 latents'
        """
        return f"{self.name}: {self.card.get('size', 0):,} latents"

    @property
    def words(self) -> str:
        """What the basis is and how well it describes the images, in a line.

        >>> card = {"size": 512, "k": 32, "on": "pooled", "r2": 0.941, "l0": 31.5}
        >>> Basis("sae", "topk", "basis-sae", {**card, "dead": 0.02, "stability": 0.71}).words
        'sae (topk, 512 latents, k 32, pooled): R2 .94, L0 31.5, 2 % dead, mean stability .71'
        """
        card = self.card
        k = f", k {card['k']}" if card.get("k") else ""
        start = f"{self.name} ({self.kind}, {card.get('size', 0):,} latents{k}, {card.get('on', 'pooled')})"
        held_out, stability = card.get("r2_val"), card.get("stability")
        r2 = f"R2 {_short(card.get('r2'))}"
        if held_out is not None:
            r2 = _say("on_evaluation_images", what=r2, names=(_short(held_out),))
        l0, dead = f"L0 {card.get('l0') or 0:.1f}", f"{100 * (card.get('dead') or 0):.0f} % dead"
        stable = "stability unknown" if stability is None else f"mean stability {_short(stability)}"
        parts = [r2, l0, dead, stable]
        return f"{start}: {', '.join(parts)}"


def _short(value: float | None) -> str:
    """
    >>> _short(0.941), _short(-0.5), _short(1.0), _short(None)
    ('.94', '−.50', '1.00', 'unknown')
    """
    return "unknown" if value is None else re.sub(rf"^({MINUS}?)0\.", r"\1.", formatted(value, ".2f"))


def bases_of(study: StudyReader) -> dict[str, Basis]:
    """The bases that a study holds, by name, in the order of KINDS and by name."""
    bases = []
    for step, entry in study.manifest["steps"].items():
        card = entry["summary"].get("basis")
        if not isinstance(card, dict) or study.state(step) != "done":
            continue
        name = str(card.get("name"))
        kind = card.get("kind")
        if NAME.fullmatch(name) and kind in KINDS and step == STEP.format(name=name):
            bases.append(Basis(name, str(kind), step, card))
    order = list(KINDS)
    bases.sort(key=lambda one: (order.index(one.kind), one.name))
    return {basis.name: basis for basis in bases if study.has(basis.table)}


def basis_named(study: StudyReader, name: str) -> Basis:
    """Return a basis of a study by name. Raises SettingsError, with the command that adds one, without it."""
    bases = bases_of(study)
    if name in bases:
        return bases[name]
    names = f"It has: {', '.join(bases)}" if bases else "It has none"
    add = command_line("basis", study.path, kind="topk", name=name)
    raise SettingsError(
        f"no basis '{name}' in '{study.path}'.{did_you_mean(name, bases)} {names}. To add one: {add}"
    )


@dataclass(frozen=True)
class Codes:
    """The codes of some images, sparse by row: image i has features[indptr[i] : indptr[i + 1]], ascending."""

    indptr: np.ndarray  # (n + 1,) int64
    features: np.ndarray  # (n_active,) int32
    values: np.ndarray  # (n_active,) float32

    def dense(self, size: int) -> np.ndarray:
        """(n, size) float32, 0 where a latent is not active."""
        n = len(self.indptr) - 1
        whole = np.zeros((n, size), np.float32)
        whole[np.repeat(np.arange(n), np.diff(self.indptr)), self.features] = self.values
        return whole


def codes_of(study: StudyReader, basis: Basis) -> Codes:
    """Return the codes of all images of a study in a basis: their active latents and values."""
    counts = study.vector(basis.item("count"))
    indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return Codes(indptr, study.vector(basis.item("features")), study.vector(basis.item("values")))


def about_latent(basis: Basis, row: Mapping[str, Any]) -> str:
    """What a latent of a basis is and whether to trust it, for somebody who knows only neurons.

    Args:
        row: of `latents_table`.

    >>> row = {"latent": 12, "l0": 0.031, "r2": 0.0021, "stability": 0.95, "dead": False}
    >>> about_latent(Basis("sae", "topk", "basis-sae", {}), row)[:83]
    "Latent sae/12: a direction of the encoder's numbers. It is not 0 on 3.1 % of all im"
    >>> about_latent(Basis("sae", "topk", "basis-sae", {"on": "positions"}), row)[53:98]
    'It is not 0 on 3.1 % of the patches of all im'
    >>> about_latent(Basis("sae", "topk", "basis-sae", {}), row)[-52:]
    'Without it, 0.21 % less of what varies is explained.'
    """
    start = _say("control" if basis.kind == "random" else "latent", what=f"{basis.name}/{row['latent']}")
    if row["dead"]:
        return _say("dead", parts=(start,))
    on_patches = basis.card.get("on") == "positions"
    active = _say("active_on_patches" if on_patches else "active", value=row["l0"], parts=(start,))
    lost = _say("lost" if row["r2"] >= 0.00005 else "little_lost", value=row["r2"])
    return f"{active} {_other_fit(row['stability'])} {lost}"


def _other_fit(stability: float | None) -> Record:
    """Say whether another run found a latent again, by its stability (docs/method.md 18.3)."""
    if stability is None or math.isnan(stability):
        return _say("fitted_once")
    kind = "same" if stability >= SAME else "similar" if stability >= ALIKE else "not_again"
    return _say(kind, names=(_short(stability),), chance=ALIKE)


def latents_table(study: StudyReader, basis: Basis) -> pd.DataFrame:
    """Return the table of a basis: one row a latent, with the columns LATENTS."""
    return study.table(basis.table, list(LATENTS))

"""One code for two encoders: a dictionary of the representations of both, side by side (docs/method.md 18.8).

    x = [s_1 h_1, s_2 h_2]        h_e of encoder e, s_e so that the train images' s_e h_e have the same spread

A latent has a direction in each encoder, and one code. It is written as a basis of the first study: the parts
of its dictionary are those of the first encoder, `basis_NAME_other_decoder` and the like of the second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from core.bases.dictionary import Coder, Dictionary
from core.bases.twins import FEWEST, SIDES, mark_of
from core.bases.vectors import Vectors
from core.common.dataframes import evenly, safe_divide
from core.common.formatting import counted
from core.errors import SettingsError
from core.reader import StudyReader

HALVES = ("decoder", "offset", "encoder", "pre_bias")  # parts of a dictionary that each encoder has
SAMPLED = 20_000  # train, and evaluation images that read-outs are fitted and judged on
AT_ONCE = 4096  # latents of a ridge: each takes several columns of doubles, as long as SAMPLED
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # of ridges on features of variance 1 on average


class Joint:
    """The representations of two studies of the same images, side by side and scaled.

    Raises:
        SettingsError: they are one study, or the other one lacks representations or some of the images.
    """

    def __init__(self, study: StudyReader, other: StudyReader):
        if study.path.resolve() == other.path.resolve():
            raise SettingsError(f"--with '{other.path}' is the study itself; name one of another encoder")
        if not other.has("representations"):
            raise SettingsError(f"--with '{other.path}' has no representations")
        self.other, self.is_val = other, study.is_val
        self.rows = _same_images(study, other)
        self.arrays = study.array("representations"), other.array("representations")
        self.train = np.flatnonzero(~study.is_val)
        self.widths = tuple(int(array.shape[1]) for array in self.arrays)
        each = [Vectors(self.arrays[0], self.train), Vectors(self.arrays[1], np.sort(self.rows[self.train]))]
        self.scales = [one.scale / one.width**0.5 for one in each]

    def __getstate__(self) -> dict[str, Any]:
        """A process that shares work needs the vectors, and not the images."""
        return self.__dict__ | {"other": None}

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), sum(self.widths)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), r_1 + r_2) float32."""
        parts = [self.arrays[0].rows(rows), self.arrays[1].rows(self.rows[rows])]
        scaled = [
            scale * np.asarray(part, np.float32) for scale, part in zip(self.scales, parts, strict=True)
        ]
        return np.concatenate(scaled, 1, dtype=np.float32)

    @property
    def vectors(self) -> Vectors:
        """What a dictionary of both is fitted on: the train images."""
        return Vectors(self, self.train)

    def halves(self, values: np.ndarray) -> list[np.ndarray]:
        """Cut (..., r_1 + r_2) into what is of the first encoder and of the other."""
        return np.split(values, self.widths[:1], axis=-1)

    def arrays_of(self, dictionary: Dictionary) -> dict[str, np.ndarray]:
        """The parts of a dictionary as they are stored: for the vectors of each encoder as they are."""
        stored = {name: one for name, one in dictionary.arrays().items() if name not in HALVES}
        for part in HALVES:
            halves = self.halves(getattr(dictionary, part))
            for side, half, scale in zip(SIDES, halves, self.scales, strict=True):
                name = part if side == SIDES[0] else f"{side}_{part}"
                stored[name] = (half * scale if part == "encoder" else half / scale).astype(np.float32)
        return stored

    def about(
        self, dictionary: Dictionary, device: torch.device
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """COLUMNS of the latents, and what a card says of the two encoders."""
        fitted, judged = self._samples()
        coder = Coder(dictionary, device)
        (x, codes, _), (y, truth, decoded) = (self._encoded(coder, rows) for rows in (fitted, judged))
        energy = np.stack([np.square(half).sum(1) for half in self.halves(dictionary.decoder)])
        columns = {"share": safe_divide(energy[0], energy.sum(0))}
        r2 = []
        for side, *parts in zip(SIDES, *map(self.halves, (x, y, decoded)), strict=True):
            columns[f"told_by_{side}"] = told_by(parts[0], codes, parts[1], truth)
            spread = np.square(parts[1] - parts[1].mean(0)).sum()
            r2.append(float(1 - np.square(parts[1] - parts[2]).sum() / spread) if spread > 0 else None)
        facts = {"study": self.other.path.name, "encoder_name": self.other.encoder_name or None}
        facts |= {"mark": mark_of(self.other), "width": self.widths[1], "n_fitted": len(fitted)}
        return columns, {"with": {**facts, "r2": r2}}

    def _samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows that read-outs are fitted on, and rows that judge them; without a split, every other one."""
        val = np.flatnonzero(self.is_val)
        if min(len(val), len(self.train)) < 2 * FEWEST:
            rows = np.arange(len(self.rows))[evenly(len(self.rows), 2 * SAMPLED)]
            return rows[::2], rows[1::2]
        return self.train[evenly(len(self.train), SAMPLED)], val[evenly(len(val), SAMPLED)]

    def _encoded(self, coder: Coder, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of some images the vectors (n, r), what is active (n, M) bool, and the reconstructions (n, r)."""
        x, decoded = self[rows], np.empty((len(rows), self.shape[1]), np.float32)
        active = np.zeros((len(rows), coder.about.size), bool)
        for at in range(0, len(rows), coder.block_rows):
            raw = torch.from_numpy(x[at : at + coder.block_rows]).to(coder.device)
            codes = coder.encode(raw)
            decoded[at : at + len(raw)] = coder.decode(codes, raw)[0].cpu().numpy()
            active[at + codes.rows.cpu().numpy(), codes.latents.cpu().numpy()] = True
        return x, active, decoded


def told_by(x: np.ndarray, active: np.ndarray, judged: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How well one encoder alone tells where latents are active: AUROC of ridge regressions on its features.

    Args:
        x: (n, r) vectors that the regressions are fitted on. active: (n, M) bool, where latents are active
            there. judged, truth: the same of other images, on which they are judged. The strength of the
            ridge is chosen for each latent by leaving out one image (Golub et al. 1979), among STRENGTHS.
    Returns:
        (M,) float64; NaN for a latent that is active, or not active, on fewer than FEWEST of either.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import roc_auc_score

    areas = np.full(active.shape[1], np.nan)
    counts = [fewest for one in (active, truth) for fewest in (one.sum(0), (~one).sum(0))]
    judgeable = np.flatnonzero(np.min(counts, axis=0) >= FEWEST)
    if not len(judgeable):
        return areas
    centre, spread = x.mean(0, dtype=np.float64), np.sqrt(x.var(0, dtype=np.float64).mean()) or 1.0
    fitted, looked_at = (x - centre) / spread, (judged - centre) / spread
    for start in range(0, len(judgeable), AT_ONCE):
        latents = judgeable[start : start + AT_ONCE]
        ridge: Any = RidgeCV(alphas=STRENGTHS, alpha_per_target=True)
        ridge.fit(fitted, active[:, latents].astype(np.float64))
        scores = ridge.predict(looked_at).reshape(len(judged), -1)
        areas[latents] = [roc_auc_score(truth[:, latent], scores[:, at]) for at, latent in enumerate(latents)]
    return areas


def _same_images(study: StudyReader, other: StudyReader) -> np.ndarray:
    """(n,) the row of each image in the other study."""
    ids = study.images["image_id"]
    rows = other.image_index().get_indexer(pd.Index(ids))
    if missing := int((rows < 0).sum()):
        raise SettingsError(
            f"--with '{other.path}' lacks {counted(missing, 'image')} of '{study.path}' (first: "
            f"'{ids.iloc[int(np.argmax(rows < 0))]}'); analyse the same images with both encoders"
        )
    return rows

"""Explain features and groups: crops, captions, words, contrast (docs/method.md 6). Composes; [torch] below.

Crops pass through CLIP and the caption bank in blocks; only a few numbers of each are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from core.common.threads import cached_property
from core.concepts.clip_thresholds import Thresholds, clip_temperature, thresholds_of
from core.concepts.crop_store import WHOLE, Crops
from core.concepts.crops import Cropper
from core.concepts.falcon import TOP_WORDS, confidence_of, contrast, word_scores
from core.concepts.groups import cosine_from_sum
from core.concepts.naming import ShownWords, WordMass, crop_mass, majority_words, shares_under_heat
from core.concepts.units import Counterfactuals, Unit
from core.config import ConceptsConfig
from core.study.progress import Progress

BLOCK_CROPS = 32_768  # crops compared with the caption bank together
MOST_DISCARDED = 24  # discarded words kept for display, per unit

Retrieve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


class CaptionTexts(Protocol):
    of_concepts: bool  # each text is a concept as it stands
    general: Mapping[str, str]  # of a concept the next more general one

    def texts(self, indices: Any) -> list[str]: ...


@dataclass(frozen=True)
class Captioned:
    """The captions of crops.

    Attributes:
        codes: (n, c) int64 into `texts`, -1 for none. cosine: (n, c) float32, NaN with a captioner.
        confidence: (n, c) float64, 0 without a caption. texts: each caption once.
        of_concepts, general: see `core.concepts.caption_bank.Bank`.
    """

    codes: np.ndarray
    cosine: np.ndarray
    confidence: np.ndarray
    texts: list[str]
    of_concepts: bool = False
    general: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def words(self) -> list[list[tuple[str, str]]]:
        """Extract the concepts in each caption."""
        from core.concepts.caption_words import words_in

        return words_in(self.texts, as_they_stand=self.of_concepts, general=self.general)

    def words_of(self, crops: np.ndarray) -> list[list[list[tuple[str, str]]]]:
        """For each crop and each of its captions, return the concepts in it."""
        return [
            [self.words[code] if code >= 0 else [] for code in codes] for codes in self.codes[crops].tolist()
        ]


@dataclass(frozen=True)
class UnitExplanation:
    """The results for one unit.

    Attributes:
        crops: (n,) indices into `Explained.crops` of its highly activating images that exist, and positions
            (n,) of these. counter_*: the same for its counterfactual images, with their dot products.
        largest_beta: see `Counterfactuals`.
        words: word, kind, score, kept, discarded_by (positions of images), by rank: kept words first; by
            majority also elsewhere; under_heat: see `naming.under_heat`, NaN where whole images are no crops.
        cosine, cosine_diagonal: mean pairwise CLIP cosine of the crops.
    """

    unit: Unit
    crops: np.ndarray
    positions: np.ndarray
    counter_positions: np.ndarray
    counter_dots: np.ndarray
    largest_beta: float
    words: pd.DataFrame
    cosine: float
    cosine_diagonal: float

    @property
    def kept_words(self) -> list[str]:
        return self.words.loc[self.words["kept"], "word"].tolist()


@dataclass(frozen=True)
class Explained:
    """All units, their crops and captions, and the mean CLIP cosines of further sets of crops."""

    units: list[UnitExplanation]
    crops: Crops
    captioned: Captioned
    subset_cosines: np.ndarray  # (n_subsets, 2): without and with the diagonal
    usual_cosine: float  # over the crops of all units together
    thresholds: Thresholds
    n_missing: int
    shown_words: ShownWords | None = None  # of the probe images, where words are chosen by majority


@dataclass
class Explainer:
    """Explain units by crops, a caption source and the options of `ConceptsConfig`.

    Args:
        rows: (n,) study rows of the probe images. retrieve: embeddings (n, d) -> indices, cosine (n, c), and
            log-sum-exp (n,), or None with a captioner. bank: the captions to which the indices refer.
        shown: which probe images show which words, to name by majority; None: as FALCON does.
    """

    cropper: Cropper
    rows: np.ndarray
    config: ConceptsConfig
    retrieve: Retrieve | None
    bank: CaptionTexts | None
    progress: Progress
    subsets: Sequence[tuple[str, np.ndarray]] = field(default_factory=list)
    shown_words: ShownWords | None = None

    def explain(self, units: Sequence[Unit], counterfactuals: Sequence[Counterfactuals]) -> Explained:
        """Find the words of each unit, contrasted with its counterfactual images."""
        pairs = _Pairs()
        unit_spans = [pairs.add(self.rows[unit.positions], self._unit(unit.name)) for unit in units]
        against = [pairs.add(self.rows[counter.positions], WHOLE) for counter in counterfactuals]
        subsets = [pairs.add(self.rows[positions], self._unit(name)) for name, positions in self.subsets]
        rows, names, crop_of = pairs.unique()
        with self.progress.stage("crops", total=len(rows), unit="crops") as bar:
            crops = self.cropper.embed(rows, names, bar)
        all_own = slice(0, sum(len(unit.positions) for unit in units))
        spans = [*unit_spans, *subsets, all_own]
        members = [crop_of[span][crops.there[crop_of[span]]] for span in spans]
        captioned, cosines = self._read(crops, members)
        usual = float(cosines[-1, 0])
        limits = self._thresholds(captioned, members[-1], usual)
        mass = self._crop_mass(captioned)
        explanations = []
        with self.progress.stage("words", total=len(units), unit="features") as bar:
            for number, (unit, counter) in enumerate(zip(units, counterfactuals, strict=True)):
                mine, theirs = crop_of[unit_spans[number]], crop_of[against[number]]
                here, there = crops.there[mine], crops.there[theirs]
                positions = counter.positions[there]
                if self.shown_words is None:
                    words = self._words(captioned, mine[here], theirs[there], positions, limits)
                else:
                    words = majority_words(
                        self.shown_words,
                        unit.positions,
                        positions,
                        least=limits.min_score,
                        most_elsewhere=limits.counter_score,
                        general=self.bank.general if self.bank else {},
                    )
                heat = np.nan if mass is None else shares_under_heat(mass, mine[here], words["word"].tolist())
                words = words.assign(under_heat=heat)
                cosine, cosine_diagonal = (float(value) for value in cosines[number, :2])
                counter_dots = counter.dots[there]
                explanation = UnitExplanation(
                    unit,
                    mine[here],
                    unit.positions[here],
                    counter_positions=positions,
                    counter_dots=counter_dots,
                    largest_beta=counter.largest_beta,
                    words=words,
                    cosine=cosine,
                    cosine_diagonal=cosine_diagonal,
                )
                explanations.append(explanation)
                bar.update()
        missing = len(np.unique(rows[~crops.there]))
        of_subsets, shown = cosines[len(units) : -1], self.shown_words
        return Explained(explanations, crops, captioned, of_subsets, usual, limits, missing, shown)

    def _thresholds(self, captioned: Captioned, crops: np.ndarray, usual_cosine: float) -> Thresholds:
        best = captioned.cosine[crops, 0] if captioned.cosine.shape[1] else np.empty(0)
        temperature = clip_temperature(self.cropper.clip)
        return thresholds_of(
            self.config, temperature=temperature, best_cosine=best, usual_cosine=usual_cosine
        )

    @property
    def _crops(self) -> bool:
        return self.config.crop and self.cropper.load_encoder is not None

    def _unit(self, name: str) -> str:
        return name if self._crops else WHOLE

    def _crop_mass(self, captioned: Captioned) -> WordMass | None:
        """The words on the crops; None where these are whole images."""
        if not self._crops:
            return None
        temperature = clip_temperature(self.cropper.clip)
        parts = captioned.codes, captioned.cosine, captioned.confidence
        return crop_mass(*parts, captioned.words, temperature=temperature)

    def _read(self, crops: Crops, members: Sequence[np.ndarray]) -> tuple[Captioned, np.ndarray]:
        """Read the captions of all crops, and the mean pairwise cosine (n_members, 2) of sets of them."""
        n = len(crops.rows)
        owner = np.repeat(np.arange(len(members)), [len(places) for places in members])
        columns = np.concatenate([*members, np.empty(0, np.int64)])
        belongs = sparse.csc_matrix((np.ones(len(owner)), (owner, columns)), shape=(len(members), n))
        totals = np.zeros((len(members), self.cropper.clip.width))
        parts: list[tuple[np.ndarray, ...]] = []
        texts: list[np.ndarray] = []
        with self.progress.stage("captions", total=int(crops.there.sum()), unit="crops") as bar:
            for which, arrays in self.cropper.store.blocks(crops, BLOCK_CROPS):
                totals += belongs[:, which] @ arrays["embeddings"].astype(np.float64)
                if self.retrieve is None:
                    texts.append(arrays["captions"])
                    parts.append(
                        (which, np.full(arrays["scores"].shape, np.nan, np.float32), arrays["scores"])
                    )
                else:
                    indices, cosine, logsumexp = self.retrieve(arrays["embeddings"])
                    texts.append(np.asarray(indices, np.int64))
                    confidence = confidence_of(
                        self.config.confidence, cosine, logsumexp, self.config.temperature
                    )
                    parts.append((which, np.asarray(cosine, np.float32), confidence))
                bar.update(len(which))
        sizes = [len(places) for places in members]
        pairs = []
        for total, size in zip(totals, sizes, strict=True):
            pairs.append([cosine_from_sum(total, size), cosine_from_sum(total, size, diagonal=True)])
        cosines = np.array(pairs).reshape(-1, 2)
        return self._captioned(n, parts, texts), cosines

    def _captioned(self, n: int, parts: list[tuple[np.ndarray, ...]], keys: list[np.ndarray]) -> Captioned:
        """Order the captions by crop; `keys` are indices of the bank, or a captioner's texts."""
        width = keys[0].shape[1] if keys else 0
        codes = np.full((n, width), -1, np.int64)
        cosine = np.full((n, width), np.nan, np.float32)
        confidence = np.zeros((n, width))
        if not keys:
            return Captioned(codes, cosine, confidence, [])
        which = np.concatenate([part[0] for part in parts])
        distinct, code = np.unique(np.concatenate(keys), return_inverse=True)
        codes[which] = code.reshape(-1, width)
        cosine[which] = np.concatenate([part[1] for part in parts])
        confidence[which] = np.concatenate([part[2] for part in parts])
        if self.bank is not None:
            texts = list(self.bank.texts(distinct))
            of_concepts, general = self.bank.of_concepts, self.bank.general
            return Captioned(codes, cosine, confidence, texts, of_concepts, general)
        texts = distinct.tolist()
        if texts[0] == "":  # sorted first: pads a captioner's short answers
            codes, texts = np.maximum(codes - 1, -1), texts[1:]
        return Captioned(codes, cosine, confidence, texts)

    def _words(
        self,
        captioned: Captioned,
        crops: np.ndarray,
        counter: np.ndarray,
        positions: np.ndarray,
        limits: Thresholds,
    ) -> pd.DataFrame:
        """word, kind, score, kept, discarded_by; kept words first, then discarded ones, each by score."""
        scores = word_scores(captioned.words_of(crops), captioned.confidence[crops])
        scores = scores[scores["score"] >= limits.min_score].reset_index(drop=True)
        against = contrast(
            scores["word"].tolist(),
            captioned.words_of(counter),
            captioned.confidence[counter],
            min_score=limits.counter_score,
        )
        discarded_by = pd.Series([positions[by] for by in against.discarded_by], dtype=object)
        scores = scores.assign(kept=against.kept, discarded_by=discarded_by)
        listed = np.flatnonzero(against.kept)[:TOP_WORDS], np.flatnonzero(~against.kept)[:MOST_DISCARDED]
        return scores.iloc[np.concatenate(listed)].reset_index(drop=True)


class _Pairs:
    """Collect pairs of a row and a crop's name; many pairs occur several times."""

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []
        self.names: list[np.ndarray] = []
        self.n = 0

    def add(self, rows: np.ndarray, name: str) -> slice:
        """Add pairs, and return their positions among all added pairs."""
        self.rows.append(np.asarray(rows, np.int64))
        self.names.append(np.full(len(rows), name, object))
        self.n += len(rows)
        return slice(self.n - len(rows), self.n)

    def unique(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows and names of each pair once, and the index of each added pair among them."""
        rows = np.concatenate([*self.rows, np.empty(0, np.int64)])
        codes, names = pd.factorize(np.concatenate([*self.names, np.empty(0, object)]))
        keys = rows * max(len(names), 1) + codes
        _, first, index = np.unique(keys, return_index=True, return_inverse=True)
        return rows[first], np.asarray(names, object)[codes[first]], index.reshape(-1)

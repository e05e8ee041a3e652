"""Does a feature answer to what its words say? Rendered twins with and without it (docs/method.md 6.13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.common.dataframes import known_mean, numbers, unit_rows
from core.common.statistics.intervals import auroc_interval, mean_intervals
from core.concepts.tools import has_encoder, is_glyphworld
from core.encoders.encoder import Encoder
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.research.rendered_scenes.word_auc import activations_of, group_activations
from core.storage.writer import StepWriter
from core.store import Study
from core.worlds.glyphworld.painting import paint
from core.worlds.glyphworld.scenes import ScenePlan
from core.worlds.glyphworld.twins import TwinMaker

PAIRS = 32
FEWEST = 8  # pairs without which nothing is said of a word
BATCH = 64
COLUMNS = (
    *("group", "word", "n_pairs", "effect", "effect_low", "effect_high", "twin_auc", "twin_auc_low"),
    *("twin_auc_high", "selectivity"),
)
RepresentScenes = Callable[[Sequence[ScenePlan]], np.ndarray]


def renderer(encoder: Encoder, size: int) -> RepresentScenes:
    """Return a function from plans to raw representations (n, n_features)."""

    def represent(plans: Sequence[ScenePlan]) -> np.ndarray:
        parts = []
        for start in range(0, len(plans), BATCH):
            pictures = [paint(plan, size) for plan in plans[start : start + BATCH]]
            pixels = torch.from_numpy(np.stack([encoder.transform.pixels(one) for one in pictures]))
            with torch.inference_mode():
                parts.append(encoder.represent(pixels).float().cpu().numpy())
        return np.concatenate(parts)

    return represent


def word_twins(
    pairs: pd.DataFrame,
    scales: np.ndarray,
    represent: RepresentScenes,
    maker: TwinMaker,
    *,
    n_pairs: int = PAIRS,
    seed: int = 0,
    progress: Progress,
) -> pd.DataFrame:
    """Render twins of each word, and compare the activation of the groups that have the word.

    With d_t = a(present_t) - a(absent_t) over the pairs t of a word, a the activation of the group (least of
    its features, of rows of length 1) and s its standard deviation: effect = mean_t d_t / s, with Student's
    interval over pairs. twin_auc: area under the ROC curve of a, with the word against without it; its
    interval does not know of the pairs, which makes it too wide.
    selectivity: share of the other words whose pairs move the group less, by |effect|; words that share a
    word with it do not count. Chance has 0, 0.5, 0.5.

    Args:
        pairs: columns group and word. scales: (n_groups,) standard deviation of each group, in the order of
            first appearance. n_pairs: twins a word; fewer where the world holds fewer.
    Returns:
        table of COLUMNS, a row a pair of `pairs`; NaN where there are fewer than FEWEST twins; effect and
        selectivity also where s is 0.
    """
    names, words = (list(dict.fromkeys(pairs[column])) for column in ("group", "word"))
    effects = np.full((len(words), len(names), 3), np.nan)
    areas = np.full((len(words), len(names), 3), np.nan)
    counts = np.zeros(len(words), np.int32)
    asked = {word: set(part["group"]) for word, part in pairs.groupby("word")}
    with progress.stage("twins", total=len(words), unit="words") as bar:
        for at, word in enumerate(words):
            twins = maker.twins(word, n_pairs)
            counts[at] = len(twins)
            if len(twins) >= FEWEST:
                plans = [one.present for one in twins] + [one.absent for one in twins]
                active = group_activations(unit_rows(represent(plans)), names)
                present, absent = active[: len(twins)], active[len(twins) :]
                change = (present - absent) / np.where(scales > 0, scales, np.nan)
                effects[at] = np.stack(mean_intervals(change)[:3], axis=1)
                for column in [number for number, name in enumerate(names) if name in asked[word]]:
                    marked = np.repeat([True, False], len(twins))
                    areas[at, column] = auroc_interval(active[:, column], marked)[:3]
            bar.update()
    selectivity = _selectivity(np.abs(effects[:, :, 0]), words)
    rows = []
    for group, word in pairs[["group", "word"]].itertuples(index=False):
        at, column = words.index(word), names.index(group)
        rows.append(
            (group, word, counts[at], *effects[at, column], *areas[at, column], selectivity[at, column])
        )
    types: dict[str, Any] = {"group": "str", "word": "str", "n_pairs": np.int32}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)


def twins_summary(table: pd.DataFrame) -> dict[str, Any]:
    """Return the number of words that were tested, the share whose effect has its interval above 0, and the
    means of effect, twin_auc and selectivity; None without any.
    """
    tested = table.loc[np.isfinite(numbers(table, "effect"))]
    summary: dict[str, Any] = {"n_words": len(table), "n_tested": len(tested)}
    if not len(tested):
        return summary | dict.fromkeys(("share_above", "effect", "twin_auc", "selectivity"))
    means = {name: known_mean(numbers(tested, name)) for name in ("effect", "twin_auc", "selectivity")}
    return summary | {"share_above": float((numbers(tested, "effect_low") > 0).mean())} | means


def _selectivity(sizes: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """(n_words, n_groups): the share of the other words that move a group less; ties count half."""
    parts = [set(word.split()) for word in words]
    shares = np.full(sizes.shape, np.nan)
    for at, word_parts in enumerate(parts):
        others = [number for number, other in enumerate(parts) if not word_parts & other]
        rivals = sizes[others]
        finite = np.isfinite(rivals)
        less = (rivals < sizes[at]) + 0.5 * (rivals == sizes[at])
        n = finite.sum(0)
        share = np.where(finite, less, 0.0).sum(0) / np.where(n > 0, n, 1)
        shares[at] = np.where((n > 0) & np.isfinite(sizes[at]), share, np.nan)
    return shares


def twins_of(study: Study) -> Callable[..., dict[str, Any]]:
    """Return `write_twins` for a study.

    Raises:
        SettingsError: no twins of its images can be rendered and embedded.
    """
    if not is_glyphworld(study) or not has_encoder(study):
        raise SettingsError(
            f"--twins renders scenes of Glyphworld and embeds them; '{study.path}' has "
            f"{'no encoder' if is_glyphworld(study) else 'other images'}. Leave it out"
        )
    return partial(write_twins, study)


def write_twins(
    study: Study,
    step: StepWriter,
    concepts: pd.DataFrame,
    probe: np.ndarray,
    n_pairs: int,
    progress: Progress,
    device: str | torch.device,
) -> dict[str, Any]:
    """Write the table `word_twins` of the kept words of a Glyphworld study.

    Args:
        concepts: the table. probe: (n,) rows of the probe images, over which activations are standardised.
    Returns:
        for the summary, see `twins_summary`.
    """
    from core.analysis.gradcam.on_demand import study_encoder

    kept_words = concepts.loc[concepts["kept"].to_numpy(bool)].reset_index(drop=True)
    names = list(dict.fromkeys(kept_words["group"]))
    source: Any = study.source
    with progress.stage("scenes for twins"):
        maker = TwinMaker(source.seed, source.world)
    represent = renderer(study_encoder(study, device), source.world.size)
    scales = activations_of(study, probe, names).std(0) if names else np.empty(0)
    table = word_twins(kept_words, scales, represent, maker, n_pairs=n_pairs, progress=progress)
    step.table("word_twins", table)
    return twins_summary(table)

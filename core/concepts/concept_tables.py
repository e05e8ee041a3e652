"""The tables written by the step `concepts`. No torch."""

from collections.abc import Iterable, Sequence, Sized
from typing import Any

import numpy as np
import pandas as pd

from core.common.group_names import group_name
from core.concepts.explain import Explained, UnitExplanation
from core.concepts.groups import Groups, is_interpretable
from core.concepts.units import HighActivations, ProbeImages, Threshold
from core.config import ConceptsConfig

SEPARATOR = "; "
AUCS = ("auc", "auc_low", "auc_high")


class Ids:
    """Image ids of probe positions."""

    def __init__(self, probe: ProbeImages):
        self.of_position = probe.study.images["image_id"].to_numpy(object)[probe.rows]

    def __getitem__(self, positions: Any) -> np.ndarray:
        return self.of_position[positions]


def _text_array(values: Sequence[str] | np.ndarray) -> pd.api.extensions.ExtensionArray:
    """Return texts of a table of concepts as a pandas array of dtype `str`."""
    return pd.array(list(values), dtype="str")


def concept_table(units: Sequence[UnitExplanation], ids: Ids) -> pd.DataFrame:
    """Table `concepts`: the words of each group, kept words first, then those discarded.

    elsewhere: share of the other images that show the word, where words are chosen by majority. auc, auc_low,
    auc_high: NaN here (filled where the truth is known). under_heat: share of the group's crops in which CLIP
    sees the word, NaN where whole images were described instead.
    """
    words = [unit.words for unit in units]
    counts = [len(frame) for frame in words]
    stacked = pd.concat(words, ignore_index=True) if words else pd.DataFrame(columns=["word"])
    unknown = np.full(len(stacked), np.nan)

    def column(name: str, kind: type) -> np.ndarray:
        return stacked[name].to_numpy(kind) if len(stacked) else np.empty(0, kind)

    discarded_by = [SEPARATOR.join(ids[by]) for by in column("discarded_by", object)]
    groups = np.repeat([unit.unit.name for unit in units], counts)
    columns = {"group": _text_array(groups), "rank": _ranks(counts)}
    columns |= {"word": _text_array(stacked["word"].tolist())}
    columns |= {
        "kind": _text_array(column("kind", object)),
        "score": column("score", float),
        "kept": column("kept", bool),
        "discarded_by": _text_array(discarded_by),
    }
    columns |= {"elsewhere": column("elsewhere", float) if "elsewhere" in stacked else unknown}
    columns |= {name: unknown for name in AUCS}
    return pd.DataFrame({**columns, "under_heat": column("under_heat", float)})


def _ranks(counts: Sequence[int]) -> np.ndarray:
    """Number the members of each group from 1."""
    return np.concatenate([np.arange(1, n + 1, dtype=np.int32) for n in [*counts, 0]])


def explained_table(explained: Explained, config: ConceptsConfig) -> pd.DataFrame:
    """Table `explained`: one row per feature or group that words explain.

    `largest_beta`: the largest beta at which it has a counterfactual image.
    """
    units, gamma, least = explained.units, explained.thresholds.gamma, config.min_images
    interpretable = [
        is_interpretable(len(unit.unit.positions), unit.cosine, gamma=gamma, min_images=least)
        for unit in units
    ]
    is_kept = [unit.words["kept"] for unit in units]
    columns: dict[str, Any] = {"group": _text_array([unit.unit.name for unit in units])}
    columns["n_features"] = _lengths(unit.unit.features for unit in units)
    columns["n_images"] = _lengths(unit.unit.positions for unit in units)
    columns["n_crops"] = _lengths(unit.crops for unit in units)
    columns["clip_cosine"] = np.array([unit.cosine for unit in units], np.float64)
    with_diagonal = [unit.cosine_diagonal for unit in units]
    columns["clip_cosine_with_diagonal"] = np.array(with_diagonal, np.float64)
    columns["interpretable"] = np.array(interpretable, bool)
    columns["n_counterfactuals"] = _lengths(unit.counter_dots for unit in units)
    columns["largest_beta"] = np.array([unit.largest_beta for unit in units], np.float64)
    columns["n_kept"] = np.array([np.count_nonzero(mask) for mask in is_kept], np.int32)
    columns["n_discarded"] = np.array([np.count_nonzero(~mask) for mask in is_kept], np.int32)
    columns["words"] = _text_array([SEPARATOR.join(unit.kept_words) for unit in units])
    return pd.DataFrame(columns)


def _lengths(members: Iterable[Sized]) -> np.ndarray:
    return np.array([len(member) for member in members], np.int32)


def group_table(
    groups: Groups, cosines: dict[str, tuple[float, float]], gamma: float, min_images: int
) -> pd.DataFrame:
    """Table `groups`: Algorithm 1's groups, largest first; a group of one feature has the images that highly
    activate that feature and no other.

    Args:
        cosines: mean pairwise CLIP cosine, without and with the diagonal, of the groups that have it.
    """
    names = [group_name(group.features) for group in groups]
    pairs = [cosines.get(name, (np.nan, np.nan)) for name in names]
    cosine_pairs = np.array(pairs, np.float64).reshape(-1, 2)
    sizes = groups.sizes
    cosine, with_diagonal = cosine_pairs.T
    columns = {
        "group": _text_array(names),
        "n_images": sizes.astype(np.int32),
        "clip_cosine": cosine,
        "interpretable": (sizes > min_images) & (cosine > gamma),
    }
    columns |= {"n_features": groups.n_members.astype(np.int32)}
    columns |= {"clip_cosine_with_diagonal": with_diagonal}
    return pd.DataFrame(columns)


def caption_table(explained: Explained, ids: Ids) -> pd.DataFrame:
    """Table `captions`: the captions found for each crop of each group, best first."""
    captioned, parts = explained.captioned, []
    for unit in explained.units:
        codes = captioned.codes[unit.crops]
        crop, rank = np.nonzero(codes >= 0)
        cosine, confidence = captioned.cosine[unit.crops], captioned.confidence[unit.crops]
        rows = {"group": unit.unit.name, "image_id": ids[unit.positions[crop]]}
        rows |= {"rank": (rank + 1).astype(np.int32), "code": codes[crop, rank]}
        rows |= {"cosine": cosine[crop, rank], "confidence": confidence[crop, rank]}
        parts.append(pd.DataFrame(rows))
    columns = ["group", "image_id", "rank", "code", "cosine", "confidence"]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    text = np.array([*captioned.texts, ""], object)[frame["code"].to_numpy(np.int64)]
    frame = frame.astype({"group": "str", "image_id": "str"}).drop(columns="code")
    frame.insert(3, "caption", _text_array(text))
    return frame


def activating_table(explained: Explained, ids: Ids) -> pd.DataFrame:
    """Table `highly_activating`: images T of each group with crops, strongest activation first.

    Box in pixels of the original, all NaN if the image is missing; `cosine` of the best caption; `hot` is
    False if the heatmap reached the threshold nowhere.
    """
    captioned, crops, parts = explained.captioned, explained.crops, []
    for unit in explained.units:
        crop_rows = np.full(len(unit.unit.positions), -1)
        crop_rows[np.searchsorted(unit.unit.positions, unit.positions)] = unit.crops
        order = np.lexsort([unit.unit.positions, -unit.unit.values])
        crop_rows, there = crop_rows[order], crop_rows[order] >= 0
        boxes = np.where(there[:, None], crops.boxes[crop_rows], np.nan)
        best = (
            captioned.cosine[crop_rows, 0] if captioned.cosine.shape[1] else np.full(len(crop_rows), np.nan)
        )
        sides = dict(zip(("left", "top", "right", "bottom"), boxes.T, strict=True))
        group = unit.unit
        columns = {
            "group": group.name,
            "image_id": ids[group.positions[order]],
            "activation": group.values[order],
            **sides,
        }
        columns |= {"hot": there & crops.hot[crop_rows]}
        columns |= {"cosine": np.where(there, best, np.nan).astype(np.float64)}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True).astype({"group": "str", "image_id": "str"})


def counterfactual_table(units: Sequence[UnitExplanation], ids: Ids) -> pd.DataFrame:
    """Table `counterfactuals`, to contrast words: images similar to a group's in all but its features."""
    counts = [len(unit.counter_dots) for unit in units]
    positions = [np.empty(0, np.int64), *(unit.counter_positions for unit in units)]
    similarities = [np.empty(0), *(unit.counter_dots for unit in units)]
    groups = np.repeat([unit.unit.name for unit in units], counts)
    image_ids = ids[np.concatenate(positions)]
    return pd.DataFrame(
        {
            "group": _text_array(groups),
            "image_id": _text_array(image_ids),
            "rank": _ranks(counts),
            "score": np.concatenate(similarities),
        }
    )


def explainability_table(
    activations: HighActivations, threshold: Threshold, config: ConceptsConfig
) -> pd.DataFrame:
    """Table `concept_features`: |T_i| of every feature, and whether it is explainable."""
    counts = activations.n_activating(threshold.alpha)
    features = np.arange(len(counts), dtype=np.int32)
    return pd.DataFrame(
        {
            "feature": features,
            "n_images": counts.astype(np.int32),
            "explainable": counts > config.min_images,
            "mean": activations.means,
        }
    )

"""The arms of the grid of visual tokens in words, and whether additive attention works. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.research.grids.over_seeds import NOT_ENOUGH, SeedSummary
from core.research.grids.seeds import by_seed, paired_difference

if TYPE_CHECKING:
    import pandas as pd

    from core.research.grids.definition import Values

ARM_NAMES = {
    "tokens": "tokens, additive attention",
    "plain": "tokens, plain attention",
    "shuffled": "additive, graph shuffled",
    "patches": "3 x 3 patches",
    "tokens-noimage": "additive, no image token",
    "plain-noimage": "plain, no image token",
    "tokens-boxes": "additive, with boxes",
    "plain-boxes": "plain, with boxes",
    "tokens-onehot": "additive, planted one-hots",
    "plain-onehot": "plain, planted one-hots",
    "mean": "mean of the tokens",
    "vit": "ViT from pixels",
    "clip-finetuned": "CLIP, fine-tuned",
    "clip": "CLIP as it is",
}
DECIDING = {  # (measure, arm, what it is compared with): what is said of the difference
    ("relation", "tokens", "plain"): "Relation, additive over plain attention",
    ("relation", "shuffled", "plain"): "the same with a shuffled graph",
    ("text_to_image", "tokens", "patches"): "text-to-image R@1 over patches",
    ("relation", "tokens-onehot", "plain-onehot"): "relation with planted one-hots",
}


def token_verdicts(values: Values, table: pd.DataFrame) -> list[str]:
    """Say whether additive attention works, by the protocol's own sentence, and what was measured.

    Works: tokens - plain has its interval above 0 on relation swaps, shuffled - plain has not, and
    text-to-image R@1 is not lower than that of patches (the interval of the difference is not below 0).
    Fails otherwise, or if only one-hot tokens gain.
    """
    differences = {pair: difference(table, *pair) for pair in DECIDING}
    gain, control, patches, ceiling = differences.values()
    if NOT_ENOUGH in (gain.sign, control.sign, patches.sign):
        verdict = NOT_ENOUGH
    elif gain.sign == "above 0" and control.sign != "above 0" and patches.sign != "below 0":
        verdict = "works"
    else:
        only = gain.sign != "above 0" and ceiling.sign == "above 0"
        verdict = "fails: the gain is there with planted one-hots only" if only else "fails"
    measured = [f"{DECIDING[pair]}: {gain.points()}" for pair, gain in differences.items()]
    return [f"Additive attention: {verdict}. {'; '.join(measured)}."]


def difference(table: pd.DataFrame, measure: str, one: str, other: str) -> SeedSummary:
    """Summarise the paired difference of two arms."""
    return paired_difference(by_seed(table, one, measure), by_seed(table, other, measure))

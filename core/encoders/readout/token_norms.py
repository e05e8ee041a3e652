"""How long the vectors of every token rule are: rules of one file can differ by orders of magnitude."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.encoders.readout.tokens import TokenRule, all_tokens, read_tokens, token_parts

if TYPE_CHECKING:
    from core.encoders.encoder import Encoder

FAR_APART = 5.0  # times as long, or a fifth


@torch.no_grad()
def token_norms(encoder: Encoder, pixels: Tensor) -> dict[TokenRule, float]:
    """Compute the median Euclidean norm over some images of the raw vectors of every token rule.

    Args:
        pixels: (B, S, S, 3) uint8.
    Returns:
        norms by rule, in the unit of the tokens; empty for a network without tokens.
    """
    parts = token_parts(encoder.base)
    if parts is None:
        return {}
    tokens = all_tokens(encoder.base, parts, encoder.normalise(pixels))
    return {
        rule: float(read_tokens(tokens, parts, rule).float().norm(dim=1).median()) for rule in parts.rules
    }


def norm_warning(norms: dict[TokenRule, float], used: TokenRule | None) -> str | None:
    """Say which rules give norms more than FAR_APART times those of the rule in use; None if there are none.

    >>> rules = TokenRule("cls", "after"), TokenRule("cls", "before"), TokenRule("mean", "after")
    >>> norm_warning(dict(zip(rules, (10.0, 200.0, 11.0))), rules[0])[:83]
    'the vectors have norm 10 (CLS token after the final norm); other choices of the sam'
    """
    if used is None or not norms.get(used):
        return None
    length = norms[used]
    ratios = {rule: norm / length for rule, norm in norms.items()}
    far = {rule: ratio for rule, ratio in ratios.items() if not 1 / FAR_APART <= ratio <= FAR_APART}
    if not far:
        return None
    others = ", ".join(f"{rule.words} {norms[rule]:.3g} ({ratio:.2g} times)" for rule, ratio in far.items())
    return (
        f"the vectors have norm {length:.3g} ({used.words}); other choices of the same file are far from it: "
        f"{others}. Compare studies of one choice of --tokens and --token-norm only"
    )

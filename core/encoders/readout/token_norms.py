"""Lengths of the vectors of every token rule: rules of one file can differ by orders of magnitude."""

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
    """Name the rules with norms farthest from those of the rule in use; None if all are within FAR_APART.

    >>> rules = TokenRule("cls", "after"), TokenRule("cls", "before"), TokenRule("mean", "after")
    >>> norm_warning(dict(zip(rules, (10.0, 200.0, 11.0))), rules[0]).split(": ")[0]
    'norm 10 (CLS token after the final norm), but 200 (CLS token before the final norm), 20 times as long'
    """
    if used is None or not norms.get(used):
        return None
    length, parts = norms[used], []
    longest, shortest = max(norms, key=norms.__getitem__), min(norms, key=norms.__getitem__)
    if norms[longest] > FAR_APART * length:
        parts.append(f"{_length(norms[longest], longest)}, {norms[longest] / length:,.0f} times as long")
    if norms[shortest] * FAR_APART < length:
        times = f"{length / norms[shortest]:,.0f} times shorter" if norms[shortest] else "empty"
        parts.append(f"{_length(norms[shortest], shortest)}, {times}")
    if not parts:
        return None
    return (
        f"norm {_length(length, used)}, but {', and '.join(parts)}: compare only with studies of the same "
        "--tokens and --token-norm"
    )


def _length(norm: float, rule: TokenRule) -> str:
    return f"{norm:.3g} ({rule.words})"

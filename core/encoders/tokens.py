"""Which tokens of a transformer become a vector, and the input of its classifier (docs/method.md 1.7)."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.config import TOKEN_NORMS, TOKENS
from core.encoders.layers import RTOL, capture, find_layer
from core.encoders.readout import token_words
from core.errors import EncoderError, SettingsError, did_you_mean

# Which tokens of a transformer become a vector, before or after its final norm (docs/method.md 1.7).


FAR_APART = 5.0  # times as long, or a fifth: of the vectors of two rules


@dataclass(frozen=True)
class TokenRule:
    """Which tokens (one of TOKENS), and whether the final norm is applied (one of TOKEN_NORMS)."""

    tokens: str
    norm: str

    @property
    def words(self) -> str:
        return token_words(self.tokens, self.norm)


@dataclass(frozen=True)
class TokenParts:
    """The modules and positions of a transformer's tokens.

    Attributes:
        last: the layer whose output are all tokens (B, T, C), before the final norm.
        n_prefix: number of tokens before the patch tokens: CLS token and registers.
        has_cls: the first of them is a CLS token.
        has_dist: the second of them is that of distillation.
        norm: the final norm; None if tokens have none.
        norms_vectors: it follows the pooling (timm's `fc_norm`), so it is applied to the pooled vector.
        attnpool: (B, T, C) tokens before the norm -> (B, C); None without attention pooling.
    """

    last: str
    n_prefix: int
    has_cls: bool
    norm: nn.Module | None = None
    norms_vectors: bool = False
    attnpool: Callable[[Tensor], Tensor] | None = None
    has_dist: bool = False

    @property
    def rules(self) -> list[TokenRule]:
        """Return every rule that this transformer can follow."""
        norms = TOKEN_NORMS if self.norm is not None else ("before",)
        there = {"cls": self.has_cls, "mean": True, "cls+mean": self.has_cls, "cls+dist": self.has_dist}
        plain = [TokenRule(tokens, norm) for tokens in TOKENS if there.get(tokens) for norm in norms]
        return [*plain, *([TokenRule("attnpool", "after")] if self.attnpool else [])]


class TokenPool(nn.Module):
    """A transformer whose representation follows a token rule."""

    def __init__(self, base: nn.Module, rule: TokenRule) -> None:
        super().__init__()
        self.base = base
        self.rule = rule

    def forward(self, x: Tensor) -> Tensor:
        parts = token_parts(self.base)
        assert parts is not None
        return read_tokens(all_tokens(self.base, parts, x), parts, self.rule)


def all_tokens(base: nn.Module, parts: TokenParts, x: Tensor) -> Tensor:
    """(B, T, C) all tokens of a transformer before the final norm. Raises EncoderError without any."""
    with capture(find_layer(base, parts.last)) as captured:
        base(x)
    tokens = captured.output
    if tokens is None or tokens.ndim != 3 or tokens.shape[1] <= parts.n_prefix:
        raise EncoderError(f"the layer '{parts.last}' gives no patch tokens: leave out --tokens")
    return tokens


def read_tokens(tokens: Tensor, parts: TokenParts, rule: TokenRule) -> Tensor:
    """Make one vector an image of a transformer's tokens. Registers are in no mean.

    Args:
        tokens: (B, T, C), before the final norm. rule: one of `parts.rules`.
    Returns:
        (B, C); (B, 2 C) for two, the CLS token first.
    """
    if rule.tokens == "attnpool":
        assert parts.attnpool is not None
        return parts.attnpool(tokens)
    norm = parts.norm if rule.norm == "after" and parts.norm is not None else nn.Identity()
    of_tokens, of_vectors = (nn.Identity(), norm) if parts.norms_vectors else (norm, nn.Identity())
    tokens = of_tokens(tokens)

    def piece(name: str) -> Tensor:
        if name == "mean":
            return tokens[:, parts.n_prefix :].mean(dim=1)
        return tokens[:, 0] if name == "cls" else tokens[:, 1]

    return torch.cat([of_vectors(piece(name)) for name in rule.tokens.split("+")], dim=1)


def token_parts(model: nn.Module) -> TokenParts | None:
    """Find the tokens of a transformer of timm, torchvision or open_clip; None for any other network."""
    if isinstance(trunk := getattr(model, "trunk", None), nn.Module):  # open_clip's wrapper of timm
        return _timm_parts(trunk, "trunk.")
    return _timm_parts(model, "") or _torchvision_parts(model) or _open_clip_parts(model)


def _timm_parts(model: Any, prefix: str) -> TokenParts | None:
    blocks, n_prefix = getattr(model, "blocks", None), getattr(model, "num_prefix_tokens", None)
    if not isinstance(blocks, nn.Sequential | nn.ModuleList) or not isinstance(n_prefix, int):
        return None
    norm, after_pooling = _real(getattr(model, "norm", None)), _real(getattr(model, "fc_norm", None))
    attnpool = None
    if getattr(model, "attn_pool", None) is not None:
        attnpool = lambda tokens: model.fc_norm(model.pool(model.norm(tokens)))  # noqa: E731
    has_cls = getattr(model, "cls_token", None) is not None
    has_dist = getattr(model, "dist_token", None) is not None
    last = f"{prefix}blocks.{len(blocks) - 1}"
    return TokenParts(
        last=last,
        n_prefix=n_prefix,
        has_cls=has_cls,
        norm=norm or after_pooling,
        norms_vectors=norm is None,
        attnpool=attnpool,
        has_dist=has_dist,
    )


def _torchvision_parts(model: Any) -> TokenParts | None:
    layers = getattr(getattr(model, "encoder", None), "layers", None)
    if not isinstance(layers, nn.Sequential) or not hasattr(model, "class_token"):
        return None
    return TokenParts("encoder.layers", 1, True, model.encoder.ln)


def _open_clip_parts(model: Any) -> TokenParts | None:
    """Its tokens have the width of the transformer; its own output is also projected to that of CLIP."""
    if not (
        hasattr(model, "class_embedding") and hasattr(model, "ln_post") and hasattr(model, "transformer")
    ):
        return None
    pool = getattr(model, "attn_pool", None)
    if pool is None:
        last = bool(getattr(model, "final_ln_after_pool", False))
        return TokenParts("transformer", 1, True, model.ln_post, norms_vectors=last)
    simple = getattr(model, "attn_pool_contrastive", None) is None
    attnpool = (lambda tokens: model.ln_post(pool(tokens))[:, 0]) if simple else None
    return TokenParts("transformer", 1, True, attnpool=attnpool)  # the norm has the width after the pooling


def _real(module: Any) -> nn.Module | None:
    return module if isinstance(module, nn.Module) and not isinstance(module, nn.Identity) else None


def own_rule(model: nn.Module, parts: TokenParts, x: Tensor, raw: Tensor) -> TokenRule | None:
    """Return the rule by which a transformer reads its own tokens, found by comparing numbers, or None.

    Args:
        x: (B, 3, H, W) input. raw: (B, r), the network's output for it.
    """
    try:
        tokens = all_tokens(model, parts, x)
    except EncoderError:  # a network of its own, with names like timm's
        return None
    for rule in parts.rules:
        pooled = read_tokens(tokens, parts, rule)
        if pooled.shape == raw.shape and torch.allclose(pooled, raw, rtol=RTOL, atol=1e-5):
            return rule
    return None


def choose_rule(
    arch: str, parts: TokenParts | None, network_rule: TokenRule | None, tokens: str | None, norm: str | None
) -> TokenRule:
    """Return the rule by which tokens are read: as asked for, else the network's own, or after the norm.

    Raises:
        SettingsError: an unknown word. EncoderError: the encoder lacks these tokens or this norm.
    """
    _check("token rule", tokens, TOKENS)
    _check("token norm", norm, TOKEN_NORMS)
    asked = f"--tokens {tokens}" if tokens else f"--token-norm {norm}"
    if parts is None:
        raise EncoderError(
            f"{arch} is no encoder over patch tokens as those of timm, torchvision and open_clip are, so "
            f"{asked} does not apply: leave it out (a map is pooled by --pool)"
        )
    if tokens is None and network_rule is None:
        raise EncoderError(f"{arch} follows no known token rule: give --tokens as well as {asked}")
    token_name = tokens or (network_rule.tokens if network_rule else "")
    fits = [rule for rule in parts.rules if rule.tokens == token_name]
    if not fits:
        others = {"attnpool": "attention pooling", "cls+dist": "distillation token"}
        missing = others.get(token_name, "CLS token")
        available = dict.fromkeys(rule.tokens for rule in parts.rules)
        raise EncoderError(f"{arch} has no {missing}: choose --tokens {' or '.join(available)}")
    if norm is None:  # both are there, or one: after the norm comes first
        return fits[0]
    for rule in fits:
        if rule.norm == norm:
            return rule
    problem = (
        "attention pooling reads normed tokens" if token_name == "attnpool" else "its tokens have no norm"
    )
    raise EncoderError(f"{arch}: {problem}, so --token-norm must be {fits[0].norm}")


def _check(what: str, word: str | None, choices: Sequence[str]) -> None:
    if word is not None and word not in choices:
        raise SettingsError(
            f"unknown {what} '{word}'; known: {', '.join(choices)}.{did_you_mean(str(word), choices)}"
        )


@torch.no_grad()
def token_norms(encoder: Any, pixels: Tensor) -> dict[TokenRule, float]:
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
    """Name the token rules with norms farthest from those of the rule in use; None if all are near.

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


# The input of a network's own classifier as its representation.


ACTIVATIONS = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid)  # that may follow the last Linear of a classifier


class ClassifierInput(nn.Module):
    """A network that ends in a classifier, whose representation is what the classifier reads.

    The classifier stays in `base`, under the name `layer`.
    """

    def __init__(self, base: nn.Module, layer: str) -> None:
        super().__init__()
        self.base = base
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        inputs: list[Tensor] = []

        def keep(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            inputs.append(arguments[0].clone())

        with find_layer(self.base, self.layer).register_forward_pre_hook(keep):
            self.base(x)
        return inputs[-1]


@torch.no_grad()
def final_linear(model: nn.Module, x: Tensor) -> str | None:
    """Return the name of the Linear whose output, or a softmax of it, is what the model returns.

    Only the layer that runs last counts: a network that ends in `nn.Identity` ends in no Linear.
    """
    names = {module: name for name, module in model.named_modules() if name and not any(module.children())}
    ran: list[tuple[nn.Module, Tensor, Tensor]] = []

    def keep(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            ran.append((module, inputs[0], output))

    with ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_hook(keep))
        raw = model(x)
    while ran and isinstance(ran[-1][0], ACTIVATIONS):
        ran.pop()
    if not ran or not isinstance(ran[-1][0], nn.Linear) or ran[-1][1].ndim != 2:
        return None
    module, _, logits = ran[-1]
    shapes = logits, logits.softmax(1), logits.log_softmax(1), logits.sigmoid()
    ends = any(raw.shape == out.shape and torch.allclose(raw, out, atol=1e-5) for out in shapes)
    return names[module] if ends else None

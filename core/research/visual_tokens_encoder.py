"""The visual token encoder of Kalibhat's dissertation, section 6.4.2: a transformer over a set of tokens
(docs/method.md 16.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SettingsError, ShapeError
from core.research.visual_tokens_ranks import N_RANKS

POOLS = ("image", "mean")
IMAGE, TANGIBLE, INTANGIBLE, PADDING = 0, 1, 2, 3  # types of tokens


@dataclass(frozen=True)
class EncoderShape:
    """The sizes and switches of an encoder.

    `additive`: add the learned weights of eq. 6.1 to the attention. `image_token`: read the global features;
    without, the image's token is its learned type embedding alone. `boxes`: add a linear map of each
    object's box. `pool`: the output of the image's token, or the mean over all real tokens. `attention`:
    False averages the tokens without any transformer.
    """

    global_width: int
    tangible_width: int
    predicate_width: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 24
    out: int = 128
    additive: bool = True
    image_token: bool = True
    boxes: bool = False
    pool: str = "image"
    attention: bool = True

    def __post_init__(self) -> None:
        if self.pool not in POOLS:
            raise SettingsError(f"pool = '{self.pool}' must be {' or '.join(POOLS)}.")
        if self.width % self.heads:
            raise SettingsError(f"width = {self.width} must be a multiple of heads = {self.heads}.")


@dataclass
class TokenTensors:
    """The tokens of B images, all with the same number N of places for objects and M for predicates.

    Args:
        image: (B, g). tangible: (B, N, d). predicates: (B, M, e). boxes: (B, N, 4) in shares of the
            image's sides. n_nodes, n_predicates: (B,) how many are real.
        ranks: (B, L, L) uint8 with L >= the largest 1 + n + m of the batch; tokens lie as in eq. 6.1.
    """

    image: Tensor
    tangible: Tensor
    predicates: Tensor
    boxes: Tensor
    n_nodes: Tensor
    n_predicates: Tensor
    ranks: Tensor

    def to(self, device: torch.device) -> TokenTensors:
        return TokenTensors(**{name: value.to(device) for name, value in vars(self).items()})


class VisualTokenEncoder(nn.Module):
    """Map the tokens of an image to one vector: f(T, A) of Kalibhat's dissertation, 6.4.2.

    T = [I, V, U]: I goes through a three-layer MLP with ReLU; V and U are taken as they are, or through a
    linear map where their width differs; p_I, p_v, p_u are added by type. They are no positions: objects
    may be listed in any order.
    """

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape, width = shape, shape.width
        self.image_mlp = nn.Sequential(
            nn.Linear(shape.global_width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
        )
        self.from_tangible = _fitting(shape.tangible_width, width)
        self.from_predicate = _fitting(shape.predicate_width, width)
        self.from_box = nn.Linear(4, width) if shape.boxes else None
        self.types = nn.Parameter(torch.randn(3, width) * 0.02)
        self.steps = nn.Parameter(torch.zeros(N_RANKS - 1))  # a_1 … a_7; a_0 is 0
        self.blocks = nn.ModuleList(
            Block(width, shape.heads) for _ in range(shape.layers if shape.attention else 0)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, shape.out)

    @property
    def rank_weights(self) -> Tensor:
        """(8,) w = cumsum(exp(a)), a_0 = 0: ascending; at the start rank + 1."""
        return torch.cat([self.steps.new_zeros(1), self.steps]).exp().cumsum(0)

    def forward(self, tokens: TokenTensors) -> Tensor:
        """(B, out) not normalised."""
        x, kinds = self.embed(tokens)
        bias = self.bias(tokens.ranks, kinds)
        for block in self.blocks:
            x = block(x, bias)
        return self.head(self.norm(self.pooled(x, kinds)))

    def embed(self, tokens: TokenTensors) -> tuple[Tensor, Tensor]:
        """Place the tokens of each image one after the other: (B, L, width), and their types (B, L)."""
        batch, places = len(tokens.image), tokens.ranks.shape[1]
        total = 1 + tokens.n_nodes + tokens.n_predicates  # (B,)
        if int(total.max()) > places or places > self.shape.context:
            raise ShapeError(
                f"{int(total.max())} tokens in {places} places do not fit a context of {self.shape.context}"
            )
        position = torch.arange(places, device=total.device).expand(batch, -1)
        nodes, predicates = tokens.n_nodes[:, None], tokens.n_predicates[:, None]
        kinds = torch.full((batch, places), PADDING, device=total.device)
        kinds = kinds.masked_fill(position <= nodes + predicates, INTANGIBLE)
        kinds = kinds.masked_fill(position <= nodes, TANGIBLE)
        kinds[:, 0] = IMAGE
        x = self._contents(tokens, position, kinds)
        types = torch.cat([self.types, self.types.new_zeros(1, self.shape.width)])
        return x + types[kinds], kinds

    def _contents(self, tokens: TokenTensors, position: Tensor, kinds: Tensor) -> Tensor:
        objects = self.from_tangible(tokens.tangible)
        if self.from_box is not None:
            objects = objects + self.from_box(tokens.boxes)
        words = self.from_predicate(tokens.predicates)
        image = self.image_mlp(tokens.image)
        image = image if self.shape.image_token else torch.zeros_like(image)
        empty = image.new_zeros(len(image), 1, self.shape.width)
        listed = torch.cat([empty, image[:, None], objects, words], dim=1)  # (B, 2 + N + M, width)
        source = torch.zeros_like(position)  # padding takes the empty row
        source = torch.where(kinds == IMAGE, 1, source)
        source = torch.where(kinds == TANGIBLE, 1 + position, source)
        first = 2 + objects.shape[1] - 1 - tokens.n_nodes[:, None]
        source = torch.where(kinds == INTANGIBLE, first + position, source)
        return listed.gather(1, source[..., None].expand(-1, -1, self.shape.width))

    def bias(self, ranks: Tensor, kinds: Tensor) -> Tensor:
        """(B, 1 or heads, L, L) added to q . k / sqrt(d) in all layers: w of the rank, -inf to padding."""
        padding = torch.zeros(kinds.shape, dtype=self.types.dtype, device=kinds.device)
        padding = padding.masked_fill(kinds == PADDING, -torch.inf)[:, None]  # (B, 1, L)
        if not self.shape.additive:
            return padding[:, None].expand(-1, -1, ranks.shape[1], -1)
        bias = F.embedding(ranks.int(), self.rank_weights[:, None]).squeeze(-1) + padding
        return bias[:, None].expand(-1, self.shape.heads, -1, -1).contiguous()  # once for all layers

    def pooled(self, x: Tensor, kinds: Tensor) -> Tensor:
        """(B, width): the image's token, or the mean of the real ones."""
        if self.shape.pool == "image" and self.shape.attention:
            return x[:, 0]
        real = (kinds != PADDING)[..., None]
        return (x * real).sum(1) / real.sum(1)

    @torch.no_grad()
    def attention_of_image(self, tokens: TokenTensors) -> Tensor:
        """(B, L): how much the image's token looks at each token in the last layer, mean over heads."""
        x, kinds = self.embed(tokens)
        bias = self.bias(tokens.ranks, kinds)
        for block in self.blocks[:-1]:
            x = block(x, bias)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        return last.attention(x, bias)[:, :, 0].mean(1)


class Block(nn.Module):
    """A pre-norm transformer block with a bias on the attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, L, width) -> the same; bias: (B, 1 or heads, L, L)."""
        q, k, v = self._heads(x)
        mixed = attend(q, k, v, bias)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))

    def attention(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, heads, L, L) softmax of q . k / sqrt(d) + bias."""
        q, k, _ = self._heads(x)
        return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + bias).softmax(-1)

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        batch, places, width = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, places, 3, self.heads, width // self.heads)
        return parts.permute(2, 0, 3, 1, 4).unbind(0)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Attention over visual tokens (research): softmax(q . k / sqrt(d) + bias) v, (B, heads, L, d) each.

    softmax(q . k / sqrt(d) + bias) v, (B, heads, L, d) each; bias: (B, 1 or heads, L, L).

    On a CPU, torch's fused kernel has no gradient of the bias, and what it falls back to is slower than this.
    """
    if bias is None or not bias.requires_grad or bias.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    each = bias.expand(-1, q.shape[1], -1, -1).flatten(0, 1)  # (B heads, L, L)
    queries = q.flatten(0, 1)
    keys = k.flatten(0, 1).mT
    scores = torch.baddbmm(each, queries, keys, alpha=q.shape[-1] ** -0.5)
    return scores.softmax(-1).bmm(v.flatten(0, 1)).view_as(q)


def _fitting(given: int, n_outputs: int) -> nn.Module:
    return nn.Identity() if given == n_outputs else nn.Linear(given, n_outputs)

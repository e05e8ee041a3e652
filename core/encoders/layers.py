"""Find the layer that provides an encoder's maps, capture its output, and pool it into one vector."""

import contextlib
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.config import POOLINGS
from core.errors import EncoderError, SettingsError, did_you_mean

# Poolings of a layer's map into one vector (docs/method.md 1.6), and their effect on Grad-CAM (4.1).


STRONGEST = 4  # positions of `top4`
POWER = 3  # exponent of `gem3`


def check_pool(pool: str) -> str:
    """Return a known pooling of an encoder's map unchanged; raise SettingsError for any other."""
    if pool not in POOLINGS:
        raise SettingsError(
            f"unknown pooling '{pool}'; known: {', '.join(POOLINGS)}.{did_you_mean(str(pool), POOLINGS)}"
        )
    return pool


def pool_map(map_: Tensor, pool: str) -> Tensor:
    """Pool each channel of an encoder's map over its n = h w positions.

    gap   1/n sum_p A_p
    max   max_p A_p
    top4  mean of the 4 largest A_p (of all where n < 4)
    gem3  (1/n sum_p max(A_p, 0)^3)^(1/3), the generalised mean; negative values count as 0

    Args:
        map_: (B, C, h, w) float. pool: one of POOLINGS.
    Returns:
        (B, C), in the unit of the map; gem3 is never negative, and its gradient is 0 where it is 0.
    Raises:
        SettingsError: unknown pooling.
    """
    check_pool(pool)
    if pool == "gap":
        return map_.mean(dim=(2, 3))
    if pool == "max":
        return map_.amax(dim=(2, 3))
    if pool == "top4":
        positions = map_.flatten(2)
        return positions.topk(min(STRONGEST, positions.shape[2]), dim=2).values.mean(2)
    positive = functional.relu(map_.float())  # half precision cannot hold 41^3
    cubes = positive.pow(POWER).mean(dim=(2, 3))
    somewhere = cubes > 0
    # The root of 0 has an infinite gradient, which would make NaN of every gradient that it meets.
    return torch.where(somewhere, torch.where(somewhere, cubes, 1).pow(1 / POWER), 0)


def times_mean_gradient(map_: Tensor, pool: str) -> Tensor:
    """Weight the channels of an encoder's layer by the gradient of its pooling: n times the mean one.

    Grad-CAM needs it. The gradients of gap, max and top4 add up to 1 over the positions, so the map stays as
    it is. Those of gem3 add up to mean(x^2) / mean(x^3)^(2/3), x = max(A, 0): between 0 and 1, 0 for a
    channel without a positive value (docs/method.md 4.1).

    Args:
        map_: (B, C, h, w) float. pool: one of POOLINGS.
    Returns:
        (B, C, h, w).
    """
    if check_pool(pool) != "gem3":
        return map_
    positive = functional.relu(map_)
    squares = positive.pow(POWER - 1).mean(dim=(2, 3), keepdim=True)
    pooled = pool_map(map_, pool)[:, :, None, None]
    return map_ * torch.where(pooled > 0, squares / torch.where(pooled > 0, pooled, 1).square(), 0)


# Find the layer that provides an encoder's maps, and capture its output.


# The first norm of a block, in timm, in torchvision, and in open_clip with its own and with timm's networks.
FIRST_NORMS = (
    *("blocks.{}.norm1", "encoder.layers.encoder_layer_{}.ln_1"),
    *("transformer.resblocks.{}.ln_1", "trunk.blocks.{}.norm1"),
)
RTOL, ATOL = 1e-3, 1e-4  # channels_last and NCHW sum a map in different orders


@dataclass
class Captured:
    """The output of a layer in the last forward pass."""

    output: Tensor | None = None


@contextlib.contextmanager
def capture(module: nn.Module, convert: Callable[[Tensor], Tensor] = torch.clone) -> Iterator[Captured]:
    """Record the output of a network's layer while the block runs; the hook is always removed.

    Args:
        convert: applied to the output at once, because later in-place operations may overwrite it.
    """
    captured = Captured()

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        captured.output = convert(output) if isinstance(output, Tensor) else None

    with module.register_forward_hook(keep):
        yield captured


class LayerPool(nn.Module):
    """A model whose representation is the pooled map of a layer.

    Attributes:
        pooled_map: the module whose output is the map that is pooled. Grad-CAM looks there: at the layer
            itself, the ReLU after it would give each channel the share of its positive positions as a factor.

    Args:
        pool: one of POOLINGS. relu: apply a ReLU to the map before pooling, as to inner layers of CNNs.
    """

    def __init__(
        self, base: nn.Module, layer: str, family: str, *, pool: str = "gap", relu: bool = False
    ) -> None:
        super().__init__()
        self.base = base
        self.layer = layer
        self.family = family
        self.pool = pool
        self.pooled_map = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_with_map(x)[0]

    def forward_with_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw (B, C) and the map (B, C, h, w) that it was pooled from."""
        with capture(find_layer(self.base, self.layer)) as captured:
            self.base(x)
        map_ = self.pooled_map(as_map(captured.output, self.layer, self.base, self.family, x.shape[2:]))
        return pool_map(map_, self.pool), map_


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return a layer of an encoder's network by its dotted name.

    Raises:
        EncoderError: there is no such layer; the message names the closest ones.
    """
    names = [layer for layer, _ in model.named_modules() if layer]
    if name not in names:
        tops = ", ".join(layer for layer in names if layer.count(".") == 0)
        near = difflib.get_close_matches(name, names, n=5)[1:]
        others = f" Near it: {', '.join(near)}." if near else ""
        raise EncoderError(
            f"the encoder has no layer '{name}'.{did_you_mean(name, names)}{others} Its parts: {tops}"
        )
    return model.get_submodule(name)


def is_transformer(model: nn.Module) -> bool:
    """Return True for networks over patch tokens: those of timm and torchvision, or named like them."""
    if isinstance(trunk := getattr(model, "trunk", None), nn.Module):  # open_clip's wrapper of timm
        return is_transformer(trunk)
    return hasattr(model, "patch_embed") or type(model).__name__ in ("VisionTransformer", "SwinTransformer")


def count_prefix_tokens(model: nn.Module) -> int:
    """Return how many tokens stand before the patch tokens: a CLS token, registers."""
    if isinstance(trunk := getattr(model, "trunk", None), nn.Module):
        return count_prefix_tokens(trunk)
    has_cls = hasattr(model, "class_token") or hasattr(model, "class_embedding")  # torchvision, open_clip
    return int(getattr(model, "num_prefix_tokens", has_cls))


def token_grid(n_tokens: int, size: Sequence[int]) -> tuple[int, int] | None:
    """Return rows and columns of `n_tokens` square patches of an input of `size` (H, W); None if none fit.

    A partial patch at the edge is dropped or, by some networks, padded. At most one grid fits: both of its
    sides shrink as patches grow.
    """
    height, width = (int(side) for side in size)
    sides = range(1, min(height, width) + 1)
    dropped = ((height // side, width // side) for side in sides)
    padded = ((-(-height // side), -(-width // side)) for side in sides)
    return next((grid for grid in chain(dropped, padded) if grid[0] * grid[1] == n_tokens), None)


def as_map(output: Tensor | None, name: str, model: nn.Module, family: str, size: Sequence[int]) -> Tensor:
    """Convert an encoder layer's output to a map (B, C, h, w); tokens (B, T, C) go on their grid.

    Args:
        size: height and width of the input; they decide the grid of the tokens.
    Raises:
        EncoderError: the output is not a map.
    """
    if output is None:
        raise EncoderError(f"the layer '{name}' returns no tensor in a forward pass; choose another layer")
    if output.ndim == 4:
        # some transformers keep channels last: then sides 1 and 2 are a grid of patches of the input
        rows, columns, last = output.shape[1:]
        is_grid = columns != last and token_grid(rows * columns, size) == (rows, columns)
        channels_last = family == "vit" and is_grid
        return output.permute(0, 3, 1, 2) if channels_last else output
    if output.ndim == 3 and family == "vit":
        n_prefix = count_prefix_tokens(model)
        for n_before in (n_prefix, 0):  # CaiT adds its CLS token after the blocks that hold the patches
            grid = token_grid(output.shape[1] - n_before, size)
            if grid is not None:
                tokens = output[:, n_before:].transpose(1, 2)  # (B, C, T)
                return tokens.reshape(*tokens.shape[:2], *grid)
        raise EncoderError(
            f"the output of layer '{name}' is not a map: tokens {tuple(output.shape)} form no grid "
            f"after {n_prefix} prefix tokens, and no other reshape is known; choose another layer or encoder"
        )
    raise EncoderError(
        f"the output of layer '{name}' is not a map: its shape is {tuple(output.shape)}, not "
        "(images, channels, h, w); choose a convolutional layer, such as the default"
    )


def default_layer(model: nn.Module, family: str, x: Tensor, raw: Tensor) -> str:
    """Choose the default layer for maps: a CNN's last stage, or the first norm of a transformer's last block.

    For a CNN: the last layer whose map averages to the representation `raw` of `x` or, if there is none, the
    last map.
    Raises:
        EncoderError: no layer returns a map.
    """
    if family == "vit":
        for pattern in FIRST_NORMS:
            names = {name for name, _ in model.named_modules()}
            depth = next((n for n in range(1000) if pattern.format(n) not in names), 0)
            if depth:
                return pattern.format(depth - 1)
    matching, maps = _maps_in_order(model, x, raw)
    name = (matching or maps or [""])[-1]
    if not name:
        raise EncoderError("no layer of the encoder returns a map (images, channels, h, w)")
    while isinstance(layer := model.get_submodule(name), nn.Sequential) and len(layer):
        name = f"{name}.{list(dict(layer.named_children()))[-1]}"
    return name


def averages_to(map_: Tensor, raw: Tensor) -> bool:
    """Return True when the mean of a map over its pixels equals the representation."""
    mean = map_.float().mean(dim=(2, 3))
    scale = max(float(raw.abs().max()), 1e-6)
    return mean.shape == raw.shape and torch.allclose(mean, raw.float(), rtol=RTOL, atol=ATOL * scale)


def _maps_in_order(model: nn.Module, x: Tensor, raw: Tensor) -> tuple[list[str], list[str]]:
    """Return the layers with maps larger than one pixel, in execution order: those that match, and all."""
    means: list[tuple[str, Tensor]] = []

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] > 1:
                means.append((name, output.float().mean(dim=(2, 3))))

        return hook

    with contextlib.ExitStack() as hooks:
        for name, module in model.named_modules():
            if name:
                hooks.enter_context(module.register_forward_hook(keep(name)))
        model(x)
    matching = [name for name, mean in means if averages_to(mean[:, :, None, None], raw)]
    return matching, [name for name, _ in means]

"""An encoder: a model without its head, its transform and its target layer, which belong together."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from core.common.device import resolve_device
from core.common.records import Record
from core.encoders import layers
from core.encoders.assumptions import assumed
from core.encoders.checkpoints import LoadReport
from core.encoders.fast_inference import fold_batch_norms, pack_linears, working_dtype
from core.encoders.head import NO_WEIGHTS, Head
from core.encoders.layers import check_pool
from core.encoders.precise_end import multiply_as_others, multiply_precisely, products_in_order
from core.encoders.readout import POOLED
from core.encoders.tokens import ClassifierInput, TokenPool, choose_rule, final_linear, own_rule, token_parts
from core.encoders.transform import Transform
from core.errors import EncoderError, ShapeError

PROBE_SIZE = 64  # pixels; with smaller inputs the last map has one pixel, and all poolings give the same


class Encoder:
    """Turns pixels into raw representations.

    Attributes:
        model: (B, 3, S, S) normalised float -> raw (B, n_features), eval mode.
        base: the network; the same as `model` unless that reads an inner layer, other tokens, or the input of
            the network's own classifier.
        transform: geometry and pixel statistics.
        spec: the SPEC as given.
        arch: the architecture, without a checkpoint's path.
        target_layer: dotted name, in `base`, of the layer that provides the maps.
        n_features: length of a representation.
        family: "cnn" or "vit"; the papers cover CNNs only.
        nonnegative: the representation, or the map that another pooling than gap reads, has no negative
            entries (it follows a ReLU); measured, not assumed.
        pools_globally: the representation is the target layer's map, pooled; measured, not assumed.
        pool: how: one of POOLINGS; None where the representation is not a pooled map.
        token_rule: which tokens of a transformer make the representation; None where that is not known.
        early: the representation is that of an inner layer.
        classifier: the Linear at the end of the network, whose input is the representation; else None.
        assumptions: what was assumed, one line each, for users.
        report: where the weights were loaded.
        normalisation_stated: mean and std came with the weights; else they are assumed, or the user's.
        other_stem_paddings: what the padding of its 3x3 first convolution may be besides; weights do not say.
        fingerprint: sha256 over weights, transform, layer and architecture, and over a pooling or token rule
            that is not the network's own, and the classifier that is left out.
        precision: of its products, see `working_dtype`; may be set at any time.
        n_precise: how many of its last products are in single precision whatever `precision` says.
    """

    precision = "auto"
    n_precise = 0
    normalisation_stated = True
    other_stem_paddings: tuple[int, ...] = ()
    _accepted: tuple[Tensor, Tensor] | None = None  # an input that the base takes, and its output
    find_head: Callable[[], Head | str] = staticmethod(
        lambda: NO_WEIGHTS
    )  # the classifier, or why there is none

    def __init__(
        self,
        base: nn.Module,
        transform: Transform,
        *,
        arch: str,
        spec: str | None = None,
        layer: str | None = None,
        pool: str | None = None,
        tokens: str | None = None,
        token_norm: str | None = None,
        may_classify: bool = False,
        report: LoadReport | None = None,
        assumptions: Iterable[str] = (),
        device: str | torch.device = "cpu",
    ) -> None:
        """Examine the model on random pixels, and move it to the device.

        Args:
            pool: how the map of the layer becomes the representation.
            tokens, token_norm: which tokens of a transformer become it; None, as for pool: the network's way.
            may_classify: if the network ends in a classifier, use what that reads as the representation.
        Raises:
            EncoderError: it cannot process the input size, does not output (B, r), lacks the layer or the
                tokens, or has no map to pool.
            SettingsError: the device is not available, or a word is not known.
        """
        self.device = resolve_device(device)
        self.base = base.eval().requires_grad_(False).cpu().float()
        self.transform = transform
        self.arch, self.spec = arch, spec or arch
        self.family = "vit" if layers.is_transformer(base) else "cnn"
        self.report = report or LoadReport("none", "", len(base.state_dict()))
        self._examine(layer, pool, tokens, token_norm, may_classify)
        self.assumptions = list(dict.fromkeys([*assumptions, *self._cautions(may_classify)]))
        self.fingerprint = self._fingerprint()
        self.model.to(self.device)
        for parameter in self.model.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        both = (transform.mean, transform.std)
        mean, std = (torch.tensor(one, dtype=torch.float64).view(1, 3, 1, 1) for one in both)
        self._scale, self._shift = (x.float().to(self.device) for x in (1 / (255 * std), -mean / std))

    @torch.no_grad()
    def fold(self, head: Head | None = None) -> int:
        """Fold batch normalisations for good, and return their number: the same network, fewer operations.

        Linear layers then multiply by the faster library. After this the weights are no longer those of the
        checkpoint: `find_head` comes before.

        Args:
            head: a classifier that is read in the same pass.
        """
        x, _ = self.random_input()

        def outputs() -> list[Tensor]:
            if head is None:
                return list(self._forward_with_map(x))
            with head.watching(self.base) as inputs:  # its logits may wait for an activation
                return [*self._forward_with_map(x), *inputs()]

        n_folded = fold_batch_norms(self.base, x, outputs)
        if self.device.type == "cpu" and self.dtype == torch.float32:
            pack_linears(self.base)
        return n_folded

    @torch.no_grad()
    def products(self) -> list[nn.Module]:
        """Return its convolutions and linear layers, from the first that an image meets to the last."""
        x, _ = self.random_input()
        return products_in_order(self.base, lambda: self.model(x))

    def end_precisely(self, n_products: int) -> None:
        """Let the last `n_products` of its products, and no others, multiply in single precision."""
        if n_products == self.n_precise:
            return
        products = self.products()
        n_reduced = len(products) - n_products
        for module in products[:n_reduced]:
            multiply_as_others(module)
        for module in products[n_reduced:]:
            multiply_precisely(module)
        self.n_precise = n_products

    @property
    def target_module(self) -> nn.Module:
        """Return the module whose output is the map: the layer, or what follows it before it is averaged."""
        if isinstance(self.model, layers.LayerPool):
            return self.model.pooled_map
        return layers.find_layer(self.base, self.target_layer)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 -> (B, 3, S, S) float32 on the encoder's device: (x / 255 - mean) / std.

        Raises:
            ShapeError: a different shape or type.
        """
        height, width = self.transform.sides
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or tuple(pixels.shape[1:]) != (height, width, 3):
            raise ShapeError(
                f"pixels must be (images, {height}, {width}, 3) uint8, got {tuple(pixels.shape)} "
                f"{pixels.dtype}"
            )
        moved = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2)  # channels_last in memory
        return moved.float() * self._scale + self._shift

    @torch.no_grad()
    def represent(self, pixels: Tensor) -> Tensor:
        """Compute raw representations in `precision`.

        Args:
            pixels: (B, S, S, 3) uint8, from `transform.pixels`.
        Returns:
            (B, n_features) float32 on the encoder's device, not normalised.
        Raises:
            ShapeError: a different shape or type.
        """
        x = self.normalise(pixels)
        with self._precision():
            return self.model(x).float()

    @torch.no_grad()
    def represent_with_logits(self, pixels: Tensor, head: Head) -> tuple[Tensor, Tensor]:
        """Compute raw representations and, in the same pass, the logits of the encoder's own classifier.

        Returns:
            raw (B, n_features) and logits (B, n_outputs), float32.
        """
        x = self.normalise(pixels)
        with self._precision(), head.watching(self.base) as inputs:
            raw, read = self.model(x), inputs()
        return raw.float(), head.logits([one.float() for one in read])

    @torch.no_grad()
    def represent_with_both(self, pixels: Tensor, head: Head) -> tuple[Tensor, Tensor, Tensor]:
        """Compute raw representations, maps and logits in one pass: see the two functions beside it."""
        x = self.normalise(pixels)
        with self._precision(), head.watching(self.base) as inputs:
            (raw, map_), read = self._forward_with_map(x), inputs()
        return raw.float(), map_.float(), head.logits([one.float() for one in read])

    @torch.no_grad()
    def represent_with_map(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute raw representations and the target layer's maps.

        Args:
            pixels: (B, S, S, 3) uint8.
        Returns:
            raw (B, n_features) float32 and maps (B, C, h, w) float32; where `pools_globally`, C = n_features
            and a map, pooled over its pixels, is raw.
        Raises:
            ShapeError: a different shape or type.
        """
        x = self.normalise(pixels)
        with self._precision():
            raw, map_ = self._forward_with_map(x)
        return raw.float(), map_.float()

    def _forward_with_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.model, layers.LayerPool):
            return self.model.forward_with_map(x)
        with layers.capture(self.target_module) as captured:
            raw = self.model(x)
        return raw, layers.as_map(captured.output, self.target_layer, self.base, self.family, x.shape[2:])

    @property
    def dtype(self) -> torch.dtype:
        """The type of its products."""
        return working_dtype(self.precision, self.device)

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        """Multiply in `dtype`; what follows the layer's map (its pooling, a norm) is in single precision."""
        if self.dtype == torch.float32:
            yield
            return
        layer = layers.find_layer(self.base, self.target_layer)
        with torch.autocast(self.device.type, dtype=self.dtype), layer.register_forward_hook(_widened):
            yield

    @torch.no_grad()
    def _examine(
        self, layer: str | None, pool: str | None, tokens: str | None, norm: str | None, may_classify: bool
    ) -> None:
        x, raw = self.random_input()
        if not raw.isfinite().all():
            self._refuse_not_finite()
        self.model = self.base
        self.classifier = final_linear(self.base, x) if may_classify else None
        if self.classifier is not None:
            self.model = ClassifierInput(self.base, self.classifier).eval()
            raw = self.model(x)
        default = layers.default_layer(self.base, self.family, x, raw)
        self._choose_tokens(x, raw, tokens, norm)
        if isinstance(self.model, TokenPool):
            raw = self.model(x)
            if layer is not None:
                raise EncoderError(
                    f"--layer {layer} and --tokens or --token-norm both say what the representation is made "
                    "of: give one of them"
                )
        self.target_layer = layer or default
        layers.find_layer(self.base, self.target_layer)
        _, map_ = self._forward_with_map(x)
        self.pools_globally = layers.averages_to(map_, raw)
        self.early = layer is not None and not self.pools_globally
        self._reads_default = self.early and layer == default
        if self.early:
            self.pools_globally = True
        self.pool = self._chosen_pool(pool)
        if self.early or self.pool not in (None, "gap"):
            relu = self.early and self.family == "cnn"
            pooled = layers.LayerPool(
                self.base, self.target_layer, self.family, pool=self.pool or "gap", relu=relu
            )
            self.model, self.token_rule = pooled.eval(), None
            raw, map_ = self._forward_with_map(x)
        self.n_features = int(raw.shape[1])
        # The maximum of a map, or its generalised mean, hides the negative values that Grad-CAM still meets.
        values = raw if self.pool in (None, "gap") else map_
        self.nonnegative = bool((values >= 0).all())

    def _refuse_not_finite(self) -> None:
        tensors = self.base.state_dict()
        bad = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
        returns = f"{self.arch} returns NaN or infinity"
        if bad:
            raise EncoderError(f"{returns}: its weight '{bad}' holds them. Take an earlier checkpoint")
        variances = (name for name in tensors if name.endswith("running_var"))
        negative = next((name for name in variances if (tensors[name] < 0).any()), None)
        seen = f"its variance '{negative}' is negative in part" if negative else "all its weights are finite"
        raise EncoderError(f"{returns}, and {seen}: name the file of a network as it was trained")

    def _choose_tokens(self, x: Tensor, raw: Tensor, tokens: str | None, norm: str | None) -> None:
        parts = token_parts(self.base)
        network_rule = own_rule(self.base, parts, x, raw) if parts else None
        self.token_rule = network_rule
        if tokens is not None or norm is not None:
            self.token_rule = choose_rule(self.arch, parts, network_rule, tokens, norm)
            if self.token_rule != network_rule:
                self.model = TokenPool(self.base, self.token_rule).eval()

    def _chosen_pool(self, pool: str | None) -> str | None:
        if pool is not None and check_pool(pool) and not self.pools_globally:
            raise EncoderError(
                f"{self.arch} gives a vector that is not the average of a map (of '{self.target_layer}'), so "
                f"--pool {pool} has nothing to pool: leave it out, or name another layer (--layer)"
                + (" or tokens (--tokens)" if self.family == "vit" else "")
            )
        return (pool or "gap") if self.pools_globally else None

    def random_input(self) -> tuple[Tensor, Tensor]:
        """Return a random normalised input that the base accepts, and its output before it was folded."""
        if self._accepted is None:
            self._accepted = self._accept_random()
        x, raw = self._accepted
        device = next((parameter.device for parameter in self.base.parameters()), torch.device("cpu"))
        return x.to(device), raw

    def _accept_random(self) -> tuple[Tensor, Tensor]:
        height, width = sides = self.transform.sides
        device = next((parameter.device for parameter in self.base.parameters()), torch.device("cpu"))
        larger = tuple(max(side, PROBE_SIZE) for side in sides) if self.family == "cnn" else sides
        raw, problem = None, ""
        for shape in dict.fromkeys((larger, sides)):
            x = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0)).to(device)
            try:
                raw = self.base(x)
                break
            except (RuntimeError, AssertionError, ValueError, IndexError, TypeError) as error:
                problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if raw is None:
            raise EncoderError(
                f"{self.arch} cannot process {width} x {height} pixels: {problem.rstrip('.')}. Give "
                "--input-size, or for a transformer timm:NAME?img_size=N"
            )
        if not isinstance(raw, Tensor) or raw.ndim != 2:
            got = tuple(raw.shape) if isinstance(raw, Tensor) else type(raw).__name__
            raise EncoderError(
                f"{self.arch} must return (images, features), one vector per image; it returns {got}"
            )
        return x, raw

    def _cautions(self, may_classify: bool) -> Iterable[Record]:
        if isinstance(self.model, ClassifierInput):
            n_outputs = self.base.get_submodule(str(self.classifier)).out_features
            yield assumed("of_classifier", what=str(self.classifier), n=n_outputs, of=self.n_features)
        elif may_classify and self.model is self.base:
            yield assumed("returned", n=self.n_features)
        if self.early:
            pooled = "ReLU and average pooling" if self.family == "cnn" else "the mean over patch tokens"
            if self.pool != "gap":
                pooled = f"{'ReLU and ' * (self.family == 'cnn')}{POOLED[str(self.pool)]}"
            yield assumed("inner_layer", what=self.target_layer, why=pooled)
        elif self.pool not in (None, "gap"):
            yield assumed("pooling", what=POOLED[str(self.pool)])
        if self.token_rule is not None:
            kind = "tokens" if isinstance(self.model, TokenPool) else "own_tokens"
            yield assumed(kind, what=self.token_rule.words)
        if self.family == "vit":
            yield assumed("dense")
        elif not self.nonnegative:
            what = "representation" if self.pool in (None, "gap") else "map"
            yield assumed("negative", what=what)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        settings = {"arch": self.arch, "layer": self.target_layer, "transform": self.transform.to_dict()}
        if self.pool not in (None, "gap"):  # left out otherwise: older studies have no pooling in theirs
            settings["pool"] = self.pool
        if self._reads_default:  # its name alone would be that of the network's own representation
            settings["early"] = True
        if isinstance(self.model, ClassifierInput):
            settings["classifier"] = self.classifier
        if isinstance(self.model, TokenPool):
            settings["tokens"] = [self.model.rule.tokens, self.model.rule.norm]
        digest.update(json.dumps(settings, sort_keys=True).encode())
        for key, tensor in sorted(self.base.state_dict().items()):
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()


def _widened(_module: nn.Module, _inputs: object, output: object) -> object:
    return output.float() if isinstance(output, Tensor) else output

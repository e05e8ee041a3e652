"""Heatmaps of features by Grad-CAM (docs/method.md 4), and of latents by their own activation (18.5)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.bases.basis import PARTS
from core.bases.dictionary import MAGNITUDE, NEAREST, RAW_TOPK, Coder, Dictionary, normalisation
from core.encoders.layers import as_map, times_mean_gradient
from core.encoders.positions import position_maps
from core.encoders.registry import Encoder
from core.errors import EncoderError, SettingsError, ShapeError
from core.store import Study

# Heatmaps of latents: their own activation at each position, without a gradient (docs/method.md 18.5).


def _dictionary_of(study: Study) -> Dictionary:
    """Return the dictionary of the basis in which a study is read, for Grad-CAM of its latents."""
    basis, whole = study.basis, Study(study.below or study.path)
    assert basis is not None
    parts: dict[str, Any] = {}
    for name in PARTS:
        if whole.has(basis.item(name)):
            parts[name] = whole.vector(basis.item(name)).astype(np.float32)
    about = basis.card
    return Dictionary(
        **parts, activation=about["activation"], k=about.get("k"), norm=about.get("normalisation") or "none"
    )


class LatentEncoder:
    """An encoder whose features are the latents of a basis; in all else the encoder itself.

    In a basis on positions, a latent's map is its code at each position. In one on pooled vectors: where the
    representation is the mean of a map, the pre-activation of an image's latent is the mean of
    those of its positions. So a latent's map is the pre-activation at each position, cut at 0.
    """

    def __init__(self, encoder: Encoder, study: Study):
        about = _dictionary_of(study)
        self.of_units = encoder
        self._encoder, self.n_features, self.norm = encoder, about.size, about.norm
        self._coder = Coder(about, encoder.device)
        weights, card = self._coder.weights, study.basis.card if study.basis else {}
        self.on_positions, self._pool = card.get("on") == "positions", card.get("pool_codes")
        if self.on_positions:  # there are maps without a gradient, whatever the readout is
            self.pools_globally = True
        # On pooled vectors a map is a pre-activation, which is negative at some positions, cut at 0.
        self.nonnegative = self.on_positions and about.activation not in (MAGNITUDE, RAW_TOPK)
        self.rows = weights["encoder"]  # (M, r)
        self.constant = weights["bias"] - self.rows @ weights["pre_bias"]  # (M,)
        if about.activation == NEAREST:  # its bias compares centres, it says nothing of positions
            self.constant = -self.rows @ weights["pre_bias"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def represent(self, pixels: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 -> (B, M) codes; on positions, those of an image are pooled."""
        if self.on_positions:
            maps = [codes.flatten(1) for codes in self.code_maps(pixels)]
            return torch.stack([one.mean(1) if self._pool == "mean" else one.amax(1) for one in maps])
        codes = self._coder.encode(self._encoder.represent(pixels).float())
        dense = torch.zeros(codes.n, self.n_features, device=self._encoder.device)
        dense[codes.rows, codes.latents] = codes.values
        return dense

    def code_maps(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the codes of each image's positions (M, h, w), for a basis on positions."""
        maps = position_maps(self._encoder, pixels)
        for map_ in maps:
            codes = self._coder.encode(map_.flatten(1).T.contiguous())
            dense = map_.new_zeros(self.n_features, codes.n)
            dense[codes.latents, codes.rows] = codes.values
            yield dense.unflatten(1, maps.shape[2:])

    def of_latents(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) numbers -> their directions (B, K, r) and constants (B, K)."""
        return self.rows[numbers], self.constant[numbers]

    def of_sums(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(K, M) weights of latents -> directions (1, K, r) and constants (1, K) of their weighted sums."""
        return (weights @ self.rows)[None], (weights @ self.constant)[None]

    def in_units_of(self, raw: Tensor, maps: Tensor) -> Tensor:
        """(B, r, h, w) maps, normalised as the dictionary normalises the vector of their image."""
        mean, scale = normalisation(raw, self.norm)
        return maps if self.norm == "none" else (maps - mean[..., None, None]) / scale[..., None, None]

    def normalised(self, raw: Tensor) -> Tensor:
        """(B, r) vectors as the dictionary normalises them."""
        mean, scale = normalisation(raw, self.norm)
        return raw if self.norm == "none" else (raw - mean) / scale


# Grad-CAM of features (docs/method.md 4): in closed form if the layer is pooled, else with the library.
#
# Maps have the layer's own resolution, after the ReLU and unscaled; `core.study.heatmaps` makes heatmaps.


AnyEncoder = Encoder | LatentEncoder
CLOSED, LIBRARY = "closed form", "pytorch-grad-cam"
MOST_AT_ONCE = 2**24  # entries of the gradients of several targets, 64 MiB
METHODS = {"auto": "", "closed": CLOSED, "library": LIBRARY}


def method_of(encoder: AnyEncoder, method: str = "auto") -> str:
    """Return how Grad-CAM maps of an encoder are computed: "closed form" or "pytorch-grad-cam".

    Args:
        method: auto, closed or library.
    Raises:
        SettingsError: unknown method.
        EncoderError: closed form requested for a representation that is no pooled map.
    """
    if method not in METHODS:
        raise SettingsError(f"unknown heatmap method '{method}'; known: {', '.join(METHODS)}")
    if method == "closed" and not encoder.pools_globally:
        raise EncoderError(
            f"{encoder.arch}: its representation is not the average of layer '{encoder.target_layer}', so "
            "there is no closed form; use method 'library'"
        )
    return METHODS[method] or (CLOSED if encoder.pools_globally else LIBRARY)


def channel_maps(encoder: AnyEncoder, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute representations and the Grad-CAM maps of all features in one forward pass.

    Args:
        pixels: (B, S, S, 3) uint8.
    Returns:
        raw (B, r) float32 and ReLU(w_j A_j) (B, r, h, w) float32, on the encoder's device; w_j = 1 / (h w)
        but for gem3.
    Raises:
        EncoderError: the representation is not pooled from the layer.
    """
    raw, maps = encoder.represent_with_map(pixels)
    return raw, scaled_maps(maps, encoder)


def scaled_maps(maps: Tensor, encoder: AnyEncoder) -> Tensor:
    """(B, r, h, w) Grad-CAM maps ReLU(w_j A_j) from the maps A_j that an encoder's layer computed (4.1).

    Raises:
        EncoderError: the representation is not pooled from the layer.
    """
    method_of(encoder, "closed")
    return functional.relu(times_mean_gradient(maps, encoder.pool or "gap")) / maps[0, 0].numel()


def gradcam_maps(
    encoder: AnyEncoder,
    pixels: Tensor,
    features: Sequence[int] | Tensor | np.ndarray,
    *,
    method: str = "auto",
) -> Tensor:
    """Compute Grad-CAM maps of selected features; the target is the raw activation.

    Args:
        pixels: (B, S, S, 3) uint8.
        features: (K,) int, the same for every image, or (B, K) int, padded with -1 (a zero map).
        method: auto, closed or library (in float32, whatever the encoder's precision).
    Returns:
        (B, K, h, w) float32, not negative, unscaled, on the encoder's device.
    Raises:
        SettingsError: no such feature. ShapeError: wrong shape of `features`. EncoderError: see `method_of`.
    """
    numbers = _feature_matrix(features, len(pixels), encoder)
    is_feature, index = numbers >= 0, numbers.clamp(min=0)
    if isinstance(encoder, LatentEncoder) and encoder.on_positions:
        codes = zip(encoder.code_maps(pixels), index, strict=True)
        return torch.stack([functional.relu(map_[j]) for map_, j in codes]) * is_feature[:, :, None, None]
    if isinstance(encoder, LatentEncoder):
        maps = _latent_maps(encoder, pixels, *encoder.of_latents(index), method)
        return maps * is_feature[:, :, None, None]
    if method_of(encoder, method) == LIBRARY:
        return _library_maps(encoder, pixels, lambda raw: raw.gather(1, index.clone()) * is_feature.clone())
    _, maps = _weighted_maps(encoder, pixels)
    picked = torch.take_along_dim(maps, index[:, :, None, None], dim=1) * is_feature[:, :, None, None]
    return functional.relu(picked) / maps[0, 0].numel()


def direction_maps(
    encoder: AnyEncoder, pixels: Tensor, directions: Tensor | np.ndarray, *, method: str = "auto"
) -> Tensor:
    """Compute Grad-CAM maps of the targets <direction, raw>: PCA components, sums of features.

    In closed form ReLU(sum_c d_c A_c) / (h w); for gem3 with the weights of `times_mean_gradient`.

    Args:
        pixels: (B, S, S, 3) uint8. directions: (K, r) float. method: as for `gradcam_maps`.
    Returns:
        (B, K, h, w) float32, not negative, unscaled, on the encoder's device.
    Raises:
        ShapeError: directions have the wrong length. EncoderError: see `method_of`.
    """
    along = torch.as_tensor(directions, dtype=torch.float32, device=encoder.device)
    if along.ndim != 2 or along.shape[1] != encoder.n_features:
        raise ShapeError(f"directions must be (K, {encoder.n_features}), got {tuple(along.shape)}")
    if isinstance(encoder, LatentEncoder) and encoder.on_positions:
        sums = [torch.einsum("km,mhw->khw", along, map_) for map_ in encoder.code_maps(pixels)]
        return functional.relu(torch.stack(sums))
    if isinstance(encoder, LatentEncoder):
        return _latent_maps(encoder, pixels, *encoder.of_sums(along), method)
    if method_of(encoder, method) == LIBRARY:
        return _library_maps(encoder, pixels, lambda raw: raw @ along.T.clone())
    _, maps = _weighted_maps(encoder, pixels)
    return functional.relu(torch.einsum("kc,bchw->bkhw", along, maps)) / maps[0, 0].numel()


def sum_map(encoder: AnyEncoder, pixels: Tensor, features: Sequence[int] | np.ndarray) -> Tensor:
    """Compute the Grad-CAM map of the sum of some features' raw activations.

    Right for every encoder, where the sum of the single maps is right only where no activation is negative
    and the representation is the average of the map: ReLU(a) + ReLU(b) is otherwise not ReLU(a + b).

    Args:
        pixels: (B, S, S, 3) uint8. features: (K,) int; a feature that is named twice counts twice.
    Returns:
        (B, 1, h, w) float32, not negative, unscaled, on the encoder's device.
    """
    total = np.zeros((1, encoder.n_features), np.float32)
    np.add.at(total[0], np.asarray(features), 1.0)
    return direction_maps(encoder, pixels, total)


def _latent_maps(
    encoder: LatentEncoder, pixels: Tensor, directions: Tensor, constants: Tensor, method: str
) -> Tensor:
    """(B, K, h, w) maps of latents: directions (B or 1, K, r) and constants (B or 1, K)."""
    if method_of(encoder, method) == LIBRARY:
        along = directions.clone()
        return _library_maps(encoder, pixels, lambda raw: (encoder.normalised(raw)[:, None] * along).sum(2))
    raw, maps = _weighted_maps(encoder, pixels)
    positions = encoder.in_units_of(raw, maps).flatten(2)
    before = (directions.expand(len(maps), -1, -1) @ positions).unflatten(2, maps.shape[2:])
    return functional.relu(before + constants[..., None, None]) / maps[0, 0].numel()


def _weighted_maps(encoder: AnyEncoder, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return raw (B, r) and n w_j A_j (B, r, h, w): w_j the mean gradient of raw_j, n = h w."""
    method_of(encoder, "closed")
    raw, maps = encoder.represent_with_map(pixels)
    return raw, times_mean_gradient(maps, encoder.pool or "gap")


def _feature_matrix(
    features: Sequence[int] | Tensor | np.ndarray, n_images: int, encoder: AnyEncoder
) -> Tensor:
    """(B, K) int64 on the encoder's device."""
    numbers = torch.as_tensor(features, dtype=torch.int64, device=encoder.device)
    if numbers.ndim == 1:
        numbers = numbers.expand(n_images, -1)
    if numbers.ndim != 2 or len(numbers) != n_images:
        raise ShapeError(f"features must be (K,) or ({n_images}, K), got {tuple(numbers.shape)}")
    outside = numbers[(numbers < -1) | (numbers >= encoder.n_features)]
    if len(outside):
        raise SettingsError(
            f"there is no feature {int(outside[0])}: {encoder.arch} has {encoder.n_features}, "
            f"from 0 to {encoder.n_features - 1}"
        )
    return numbers


def _library_maps(encoder: AnyEncoder, pixels: Tensor, targets: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute maps (B, K, h, w) of `targets`, raw (B, r) -> (B, K), with pytorch-grad-cam.

    `targets` clones the tensors that it holds: tensors made in inference mode cannot enter a gradient.

    The library scales its maps and runs the network again for each target; therefore its parts are called
    here: one forward pass, backward passes (`_gradients`), its weights and its weighted sum. A backward pass
    ends at the layer: through a transformer's last block only, where that is the layer, not through all.
    """
    from pytorch_grad_cam import GradCAM

    begun: list[Tensor] = []  # what the layer returned, as the leaf of the graph
    handle = encoder.target_module.register_forward_hook(_begin_graph(begun))  # before the library's hooks
    # copy, because in-place operations after the layer would overwrite the stored activations
    cam = GradCAM(
        encoder.model, [encoder.target_module], reshape_transform=_copied_map(encoder, pixels.shape[1:3])
    )
    recorded = cam.activations_and_grads
    recorded.handles.pop().remove()  # which would record gradients
    try:
        with torch.inference_mode(False), torch.enable_grad():
            x = encoder.normalise(
                pixels
            ).clone()  # made in inference mode, perhaps; weights need no gradients
            values = targets(recorded(x).float())
            maps = [_one_map(cam, x, gradient) for gradient in _gradients(encoder, values, begun)]
        if not maps:
            return torch.zeros(len(pixels), 0, *recorded.activations[0].shape[2:], device=encoder.device)
    finally:
        handle.remove()
        recorded.release()
    return torch.from_numpy(np.stack(maps, axis=1)).float().to(encoder.device)


def _begin_graph(begun: list[Tensor]) -> Callable[[object, object, Tensor], Tensor | None]:
    """Make a forward hook that lets gradients flow from the layer on; of several calls, from the first one.

    The network gets a copy: what follows may write into it, which is not allowed for a leaf.
    """

    def hook(_module: object, _inputs: object, output: Tensor) -> Tensor | None:
        if begun or not isinstance(output, Tensor):
            return None
        begun.append(output.detach().requires_grad_())
        return begun[0].clone()

    return hook


def _copied_map(encoder: AnyEncoder, size: Sequence[int]) -> Callable[[Tensor], Tensor]:
    def copied(output: Tensor) -> Tensor:
        return as_map(output, encoder.target_layer, encoder.base, encoder.family, size).clone()

    return copied


def _gradients(encoder: AnyEncoder, values: Tensor, begun: list[Tensor]) -> Iterator[Tensor]:
    """The gradient of each target, summed over the images, with respect to what the layer returned.

    Those of a convolutional network are taken many at once: behind its layer may lie Linears of millions of
    weights, as in AlexNet, which each backward pass reads. The attention of transformers has no such pass.
    """
    n, size = values.shape[1], begun[0].numel() if begun else 1
    group = max(min(MOST_AT_ONCE // size, n), 1) if encoder.family == "cnn" else 1
    for start in range(0, n, group):
        one_hot = torch.zeros(min(group, n - start), *values.shape, device=values.device)
        for position in range(len(one_hot)):
            one_hot[position, :, start + position] = 1
        gradients = None
        if values.requires_grad:
            (gradients,) = torch.autograd.grad(
                values,
                begun,
                one_hot if group > 1 else one_hot[0],
                retain_graph=True,
                allow_unused=True,
                is_grads_batched=group > 1,
            )
        if gradients is None:
            raise EncoderError(
                "the representation does not depend on the layer of the maps: choose another layer"
            )
        yield from gradients if group > 1 else [gradients]


def _one_map(cam: Any, x: Tensor, gradient: Tensor) -> np.ndarray:
    recorded, layer = cam.activations_and_grads, cam.target_layers[0]
    gradients = recorded.reshape_transform(gradient).cpu().numpy()
    return np.maximum(cam.get_cam_image(x, layer, None, recorded.activations[0].numpy(), gradients), 0)

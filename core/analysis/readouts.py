"""Other readings of a study's images: the vectors that other tokens and layers of its encoder give."""

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from core.analysis.gradcam.on_demand import study_encoder
from core.encoders.layers import capture
from core.encoders.readout.positions import position_maps
from core.encoders.readout.tokens import all_tokens, read_tokens, token_parts
from core.errors import EncoderError, UnreadableImage
from core.store import Study

N_IMAGES = 64
DEEPEST = 3  # names of layers with more dots are parts of layers that are looked at


@torch.no_grad()
def other_readouts(
    study: Study, device: str | torch.device = "cpu", *, on: str = "pooled"
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield other vectors of some images, of the same width as those read, with what they are.

    Args:
        on: what is read: "pooled", or "positions".
    Raises:
        PeregrineError: the encoder or the images are not there any more.
    """
    if not study.settings("embed").get("encoder"):
        raise EncoderError("the study has no encoder")
    encoder = study_encoder(study, device)
    rows = np.linspace(0, study.n_images - 1, min(N_IMAGES, study.n_images)).astype(int)
    pixels = []
    for row in rows.tolist():
        try:
            pixels.append(encoder.transform.pixels(study.image(row)))
        except UnreadableImage:
            continue
    if len(pixels) < 2:
        raise UnreadableImage("the images cannot be read")
    images = torch.from_numpy(np.stack(pixels))
    x, parts = encoder.normalise(images), token_parts(encoder.base)
    read = {"pooled": encoder.represent(images), "positions": _single(position_maps(encoder, images))}
    target, width = encoder.target_layer, read.pop(on).shape[1]
    for other, vectors in read.items():
        if vectors.shape[1] == width:
            yield f"vectors (--on {other})", _array(vectors)
    if parts is not None and on == "pooled":
        tokens = all_tokens(encoder.base, parts, x)
        for rule in parts.rules:
            vectors = read_tokens(tokens, parts, rule)
            if rule != encoder.token_rule and vectors.shape[1] == width:
                yield f"tokens (--tokens {rule.tokens} --token-norm {rule.norm})", _array(vectors)
    flat = _pooled if on == "pooled" else _single
    layers = [name for name, _ in encoder.base.named_modules() if name and name.count(".") < DEEPEST]
    with ExitStack() as stack:
        held = {}
        for name in layers:
            layer = encoder.base.get_submodule(name)
            held[name] = stack.enter_context(capture(layer, lambda output: _of_width(flat(output), width)))
        encoder.base(x)
    for name, captured in held.items():
        if name != target and captured.output is not None and len(captured.output):
            yield f"layer (--layer {name})", _array(captured.output)


def _pooled(output: Tensor) -> Tensor:
    """The mean over the positions of a map or of tokens; another output flat."""
    if output.ndim == 4:
        return output.mean((2, 3))
    return output.mean(1) if output.ndim == 3 else output.reshape(len(output) if output.ndim else 1, -1)


def _of_width(vectors: Tensor, width: int) -> Tensor:
    """Nothing of vectors of another width, so that their memory is free."""
    return vectors.clone() if vectors.shape[1:] == (width,) else vectors.new_zeros(0, width)


def _single(output: Tensor) -> Tensor:
    """The vectors of a map's positions, or of tokens, one below the other."""
    if output.ndim == 4:
        return output.flatten(2).transpose(1, 2).flatten(0, 1)
    return output.flatten(0, -2) if output.ndim > 1 else output.reshape(1, -1)


def _array(vectors: Tensor) -> np.ndarray:
    return vectors.float().cpu().numpy()

"""Other readings of a study's images: the vectors that other tokens and layers of its encoder give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from core.analysis.gradcam.on_demand import study_encoder
from core.encoders.layers import capture
from core.encoders.readout.tokens import all_tokens, read_tokens, token_parts
from core.errors import EncoderError, UnreadableImage
from core.store import Study

N_IMAGES = 64
DEEPEST = 3  # names of layers with more dots are parts of layers that are looked at


@torch.no_grad()
def other_readouts(study: Study, device: str | torch.device = "cpu") -> Iterator[tuple[str, np.ndarray]]:
    """Yield other vectors of some images, of the same width as the representations, with what they are.

    Raises:
        PeregrineError: the encoder or the images are not there any more.
    """
    if not study.settings("embed").get("encoder"):
        raise EncoderError("the study has no encoder")
    encoder, width = study_encoder(study, device), study.array("representations").shape[1]
    rows = np.linspace(0, study.n_images - 1, min(N_IMAGES, study.n_images)).astype(int)
    pixels = []
    for row in rows.tolist():
        try:
            pixels.append(encoder.transform.pixels(study.image(row)))
        except UnreadableImage:
            continue
    if len(pixels) < 2:
        raise UnreadableImage("the images cannot be read")
    x, parts = encoder.normalise(torch.from_numpy(np.stack(pixels))), token_parts(encoder.base)
    if parts is not None:
        tokens = all_tokens(encoder.base, parts, x)
        for rule in parts.rules:
            vectors = read_tokens(tokens, parts, rule)
            if rule != encoder.token_rule and vectors.shape[1] == width:
                yield f"tokens (--tokens {rule.tokens} --token-norm {rule.norm})", _array(vectors)
    own = encoder.target_layer
    layers = [name for name, _ in encoder.base.named_modules() if name and name.count(".") < DEEPEST]
    with ExitStack() as stack:
        held = {
            name: stack.enter_context(capture(encoder.base.get_submodule(name), _pooled)) for name in layers
        }
        encoder.base(x)
    for name, captured in held.items():
        if name != own and captured.output is not None and captured.output.shape[1] == width:
            yield f"layer (--layer {name})", _array(captured.output)


def _pooled(output: Tensor) -> Tensor | None:
    """The mean over the positions of a map or of tokens; a vector as it is."""
    if output.ndim == 4:
        return output.mean((2, 3))
    return output.mean(1) if output.ndim == 3 else output.clone() if output.ndim == 2 else None


def _array(vectors: Tensor) -> np.ndarray:
    return vectors.float().cpu().numpy()

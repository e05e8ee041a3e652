"""What is tried on tests of composition: models of `train-tokens`, and any CLIP as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.concepts.clip.clip import Clip, load_clip
from core.errors import TokenError
from core.research.visual_tokens.evaluation.benchmark import Benchmark
from core.research.visual_tokens.plugs import KeyedPicture
from core.research.visual_tokens.store import TokenFolder
from core.research.visual_tokens.tokens import pack_tokens
from core.research.visual_tokens.training.model import TokenModel, load_token_model

BLOCK = 256  # pictures at a time


class Judge(Protocol):
    """What is tried: pictures and captions to unit rows of one space."""

    name: str

    def pictures(self, benchmark: Benchmark) -> np.ndarray: ...

    def texts(self, captions: Sequence[str]) -> np.ndarray: ...


@dataclass
class ClipJudge:
    """A CLIP as it is."""

    name: str
    clip: Clip

    def pictures(self, benchmark: Benchmark) -> np.ndarray:
        keys = benchmark.keys
        parts = [keys[start : start + BLOCK] for start in range(0, len(keys), BLOCK)]
        rows = [self.clip.embed_images([benchmark.read(k).image for k in part], pad=True) for part in parts]
        return np.concatenate(rows)

    def texts(self, captions: Sequence[str]) -> np.ndarray:
        return self.clip.embed_texts(captions)


@dataclass
class ModelJudge:
    """A model of `train-tokens`; `stored` holds tokens of some pictures, the others' are extracted."""

    name: str
    model: TokenModel
    stored: TokenFolder | None = None

    def pictures(self, benchmark: Benchmark) -> np.ndarray:
        keys, stored = benchmark.keys, self.stored
        stored_keys = {key for key in keys if stored is not None and key in stored.row_of}
        rows: dict[str, np.ndarray] = {}
        if stored_keys and stored is not None:
            own_keys = [key for key in keys if key in stored_keys]
            packed = pack_tokens(stored.tokens(own_keys), stored.words, **self.model.packing)
            rows |= dict(zip(own_keys, self.model.embed_data(packed), strict=True))
        rest = [key for key in keys if key not in stored_keys]
        for start in range(0, len(rest), BLOCK):
            part: list[KeyedPicture] = [benchmark.read(key) for key in rest[start : start + BLOCK]]
            rows |= dict(zip((p.key for p in part), self.model.embed_pictures(part), strict=True))
        return np.stack([rows[key] for key in keys])

    def texts(self, captions: Sequence[str]) -> np.ndarray:
        return self.model.embed_texts(captions)


def open_judge(spec: str, tokens: TokenFolder | None = None, *, device: str = "cpu") -> Judge:
    """Open a model of `train-tokens` (FILE.safetensors) or any CLIP (`asset:glyphworld`, MODEL@WEIGHTS).

    Raises:
        TokenError: `tokens` were made otherwise than those of the model. ClipError: no such CLIP.
    """
    if spec.endswith(".safetensors"):
        model = load_token_model(spec, device=device)
        if tokens is not None and model.config.vision == "tokens":
            check_same_extraction(model, tokens, spec)
        usable = tokens if model.config.vision == "tokens" else None
        return ModelJudge(Path(spec).stem, model, usable)
    return ClipJudge(spec, load_clip(spec, device=device))


def check_same_extraction(model: TokenModel, tokens: TokenFolder, name: str) -> None:
    """Raise TokenError for tokens that were made otherwise than those that a model was trained on."""
    if tokens.manifest["extractor_fingerprint"] != model.origin.fingerprint:
        raise TokenError(
            f"'{tokens.path}' holds tokens made with other settings than those of '{name}'. "
            "Extract them with the settings in its .json"
        )

"""CLIP and captions for the step `concepts`, by its options."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from core.concepts.crop_store import FOLDER
from core.concepts.explain import Bank, Retrieve
from core.config import ConceptsConfig
from core.errors import SettingsError

if TYPE_CHECKING:
    import torch

    from core.concepts.crops import Captioner
    from core.progress import Progress
    from core.store import Study

NO_CAPTIONS = "no caption bank: give --captions PATH (.txt, .csv, .parquet or a folder of LAION's)"
NO_PICTURES = "the study was made without pictures; concepts need them"
DEFAULT_CLIP = "ViT-B-32@openai"  # the paper's


def is_glyphworld(study: Study) -> bool:
    return study.summary("embed").get("source", {}).get("kind") == "glyphworld"


def captions_of(study: Study, config: ConceptsConfig) -> str | None:
    """The caption bank to use: the one named, or Glyphworld's own for Glyphworld."""
    return config.captions or ("glyphworld" if is_glyphworld(study) else None)


def clip_of(study: Study, config: ConceptsConfig) -> str:
    return config.clip or ("asset:glyphworld" if is_glyphworld(study) else DEFAULT_CLIP)


def why_skipped(study: Study, config: ConceptsConfig) -> str | None:
    """Why a study cannot have concepts, or None."""
    if not study.source.has_pictures:
        return NO_PICTURES
    return None if config.captioner or captions_of(study, config) else NO_CAPTIONS


@dataclass(frozen=True)
class Tools:
    """CLIP, and captions from a bank or from a captioner."""

    clip: Any
    bank: Bank | None
    retrieve: Retrieve | None
    captioner: Captioner | None
    config: ConceptsConfig

    def about(self) -> dict[str, Any]:
        bank: Any = self.bank
        return {
            "clip": self.clip.name,
            "clip_fingerprint": self.clip.fingerprint,
            "captions": getattr(bank, "name", None) if bank else None,
            "n_bank": len(bank) if bank else 0,
            "captioner": self.config.captioner,
        }


def open_tools(study: Study, config: ConceptsConfig, device: str | torch.device, progress: Progress) -> Tools:
    """Load CLIP and embed the caption bank, where that is not done yet."""
    from core.concepts.clip import load_clip

    clip = load_clip(clip_of(study, config), device=str(device))
    if config.captioner:
        return Tools(clip, None, None, load_captioner(config.captioner), config)
    from core.concepts.captions import embed_bank, open_bank
    from core.concepts.retrieve import retrieve

    bank = open_bank(str(captions_of(study, config)), column=config.caption_column)
    shards = embed_bank(bank, clip, study.path / FOLDER / "banks")
    look_up = partial(retrieve, shards=shards, k=config.n_captions, temperature=config.temperature)
    return Tools(clip, bank, look_up, None, config)


def load_captioner(spec: str) -> Captioner:
    """`package.module:function`: image -> pairs of a caption and its score, in place of a caption bank.

    Raises:
        SettingsError: there is no such function.
    """
    module, _, name = spec.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"cannot load the captioner '{spec}' ({error}). Name it as package.module:function"
        ) from None
    return function

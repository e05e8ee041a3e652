"""Open CLIP and the captions for the step `concepts`, by its options."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from core.common.device import resolve_device
from core.common.step_facts import GLYPHWORLD, EmbedFacts
from core.concepts.caption_words import PHOTOGRAPHS
from core.concepts.clip import clip_is_here
from core.concepts.clip_thresholds import clip_temperature
from core.concepts.crops import Captioner
from core.concepts.explain import CaptionTexts, Retrieve
from core.concepts.naming import IMAGE_CAPTIONS
from core.concepts.photograph_clips import DEFAULT_CLIP, FETCH_CLIP, PHOTOGRAPH_CLIPS
from core.config import ConceptsConfig, RunOptions
from core.encoders.fast_inference import reduced_type
from core.encoders.trusted_code import check_code
from core.errors import SettingsError
from core.store import Study
from core.study.progress import Progress

NO_CAPTIONS = (
    "no caption bank: give --captions PATH (.txt, .csv, .json, .parquet or a folder), or get a CLIP of "
    f"photographs, for which words are shipped: {FETCH_CLIP}"
)
NO_PICTURES = "the study was made without pictures; concepts need them"
SHIPPED = "asset:"


def is_glyphworld(study: Study) -> bool:
    """Whether a study's images are of Glyphworld, so that its own CLIP and captions name features."""
    return study.facts(EmbedFacts).source.kind == GLYPHWORLD


def has_encoder(study: Study) -> bool:
    """Whether a study has an encoder, without which features have no heatmaps to crop and name."""
    return not study.facts(EmbedFacts).encoder.is_given


def captions_of(study: Study, config: ConceptsConfig) -> str | None:
    """Return the caption bank that names a study's features: the named one, else a usual one.

    Glyphworld's own for Glyphworld, else the words that are shipped for photographs where a CLIP of
    photographs is named or on this computer.
    """
    if config.captions or is_glyphworld(study):
        return config.captions or GLYPHWORLD
    named = config.clip if config.clip and not config.clip.startswith(SHIPPED) else None
    return PHOTOGRAPHS if named or (config.clip is None and clip_here()) else None


def clip_of(study: Study, config: ConceptsConfig) -> str:
    """Return the CLIP that names a study's features: the named one, else a usual one.

    Glyphworld's own for Glyphworld, else one of photographs that is on this computer, else the default
    one, which would be downloaded.
    """
    return config.clip or (f"{SHIPPED}glyphworld" if is_glyphworld(study) else clip_here() or DEFAULT_CLIP)


def clip_here() -> str | None:
    """Return the first CLIP of photographs whose weights are on this computer, or None."""
    return next((one.name for one in PHOTOGRAPH_CLIPS if clip_is_here(one.name)), None)


def why_skipped(study: Study, config: ConceptsConfig) -> str | None:
    """Return why a study cannot have concepts, or None."""
    if not study.source.has_pictures:
        return NO_PICTURES
    return None if config.captioner or captions_of(study, config) else NO_CAPTIONS


@dataclass(frozen=True)
class Tools:
    """CLIP, and captions from a bank or from a captioner."""

    clip: Any
    bank: CaptionTexts | None
    retrieve: Retrieve | None
    captioner: Captioner | None
    config: ConceptsConfig
    retrieve_images: Retrieve | None = None  # more captions, for whole images

    def about(self) -> dict[str, Any]:
        bank: Any = self.bank
        captions, n_bank = getattr(bank, "name", None) if bank else None, len(bank) if bank else 0
        return {
            "clip": self.clip.name,
            "clip_fingerprint": self.clip.fingerprint,
            "clip_precision": self.clip.image_precision,
            "captions": captions,
            "n_bank": n_bank,
            "clip_temperature": clip_temperature(self.clip),
            "captioner": self.config.captioner,
        }


def open_tools(study: Study, config: ConceptsConfig, device: str | torch.device, progress: Progress) -> Tools:
    """Load CLIP for naming features, and embed the caption bank unless that was done before."""
    clip = study_clip(study, clip_of(study, config), str(device))
    if config.captioner:
        return Tools(clip, None, None, load_captioner(config.captioner), config)
    from core.concepts.caption_bank import embed_bank, open_bank
    from core.concepts.nearest_captions import retrieve

    bank = open_bank(str(captions_of(study, config)), column=config.caption_column)
    shards = embed_bank(bank, clip, _bank_cache(), progress=progress)
    look_up = partial(retrieve, shards=shards, temperature=config.temperature, device=device)
    of_crops, of_images = (
        partial(look_up, k=min(n_captions, len(bank))) for n_captions in (config.n_captions, IMAGE_CAPTIONS)
    )
    return Tools(clip, bank, of_crops, None, config, of_images)


def _bank_cache() -> Path:
    """Return the folder of embedded caption banks, shared by all studies; XDG_CACHE_HOME changes it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peregrine" / "captions"


@lru_cache(maxsize=1)
def opened_clip(spec: str, device: str) -> Any:
    """Load a CLIP once: its fingerprint is needed before the step runs."""
    from core.concepts.clip import load_clip

    return load_clip(spec, device=device).packed()


def study_clip(study: Study, spec: str, device: str) -> Any:
    """Load a CLIP that reads images in the precision of a study."""
    clip = opened_clip(spec, device)
    clip.image_precision = reduced_type(study.settings("embed").get("precision", "auto"))
    return clip


def clip_and_caption_inputs(study: Study, config: ConceptsConfig, run: RunOptions) -> dict[str, str]:
    """Return the identity of CLIP and the captions, inputs outside a study; empty if the step is skipped."""
    if why_skipped(study, config):
        return {}
    from core.concepts.caption_bank import open_bank

    clip = study_clip(study, clip_of(study, config), str(resolve_device(run.device)))
    inputs = {"clip": clip.picture_fingerprint}
    if config.captioner:
        return inputs
    bank = open_bank(str(captions_of(study, config)), column=config.caption_column)
    return inputs | {"captions": bank.fingerprint}


def load_captioner(spec: str) -> Captioner:
    """Load `package.module:function`: image -> pairs of caption and score, instead of a caption bank.

    Raises:
        SettingsError: there is no such function. CodeRefused: the owner of this machine has not named it.
    """
    check_code(spec)
    module, _, name = spec.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"cannot load the captioner '{spec}' ({error}). Write it as package.module:function"
        ) from None
    return function

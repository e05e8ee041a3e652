"""Fingerprints of what a step reads that is not in the study: masks, CLIP and captions."""

from __future__ import annotations

from core.config import ConceptsConfig, MaskOptions, RunOptions
from core.store import Study


def mask_inputs(study: Study, config: MaskOptions, run: RunOptions) -> dict[str, str]:
    """Identify the masks that a step would use: {"masks": sha256}, or {} where there are none."""
    from core.data.masks.masks import open_masks

    masks = open_masks(
        masks=config.masks,
        salient_imagenet=config.salient_imagenet,
        annotations=config.annotations,
        source=study.source,
    )
    return {"masks": masks.fingerprint()} if masks else {}


def clip_and_captions(study: Study, config: ConceptsConfig, run: RunOptions) -> dict[str, str]:
    """Identify the CLIP model and the captions; {} where the step would be skipped."""
    from core.common.device import resolve_device
    from core.concepts.tools import clip_and_caption_inputs

    return clip_and_caption_inputs(study, config, resolve_device(run.device))

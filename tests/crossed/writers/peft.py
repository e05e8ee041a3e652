"""What PEFT writes of a network of timm with adapters: adapters alone, the whole state, and merged."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import peft
import timm
import torch
from torch import nn

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, trained

N = 7  # classes
SPEC = "timm:test_vit@{folder}/"
CONFIGS: dict[str, Any] = {
    "LoRA": partial(peft.LoraConfig, r=4, lora_alpha=8),
    "DoRA": partial(peft.LoraConfig, r=4, lora_alpha=8, use_dora=True),
    "LoHa": partial(peft.LoHaConfig, r=4, alpha=8),
    "LoKr": partial(peft.LoKrConfig, r=4, alpha=8),
    "IA3": partial(peft.IA3Config, feedforward_modules=[]),
}


def adapted(kind: str) -> Any:
    torch.manual_seed(0)
    base = trained(timm.create_model("test_vit", num_classes=N, img_size=160))
    config = CONFIGS[kind](target_modules=["qkv"], modules_to_save=["head"])
    model: Any = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if one.requires_grad:
                one.add_(0.05 * torch.randn(one.shape, generator=torch.Generator().manual_seed(len(name))))
    return model.eval()


def unmerged(folder: Path, kind: str, *, alone: bool) -> Written:
    """Refused, and read once merged as the message says."""
    model = adapted(kind)
    pixels = plain_pixels(160)
    logits = outputs(model, pixels)
    if alone:
        model.save_pretrained(folder)
        name = "adapter_model.safetensors"
    else:
        torch.save(model.state_dict(), folder / "weights.pth")
        name = "weights.pth"
    merged: nn.Module = model.merge_and_unload()
    torch.save(merged.state_dict(), folder / "merged.pth")
    return Written(spec=SPEC + name, then=(f"{SPEC}merged.pth", {}), pixels=pixels, logits=logits)


def merged(folder: Path, kind: str) -> Written:
    model = adapted(kind)
    pixels = plain_pixels(160)
    logits = outputs(model, pixels)
    torch.save(model.merge_and_unload().state_dict(), folder / "weights.pth")
    return Written(spec=f"{SPEC}weights.pth", pixels=pixels, logits=logits)


CASES: Cases = {
    **{("merge_and_unload, torch.save", kind): partial(merged, kind=kind) for kind in CONFIGS},
    **{("save_pretrained", kind): partial(unmerged, kind=kind, alone=True) for kind in CONFIGS},
    **{("torch.save(state_dict)", kind): partial(unmerged, kind=kind, alone=False) for kind in CONFIGS},
}

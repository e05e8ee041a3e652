"""What VISAEBench loads: sae.pt with config.json or config.yaml, in two conventions of names."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from visaebench.hub.loader import load_sae

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import K, M, R, X, save, written

GENERATOR = torch.Generator().manual_seed(4)
PARTS = {
    "weight": 0.3 * torch.randn(M, R, generator=GENERATOR),
    "bias": 0.2 * torch.randn(M, generator=GENERATOR),
    "rows": torch.nn.functional.normalize(torch.randn(M, R, generator=GENERATOR), dim=1),
    "offset": 0.2 * torch.randn(R, generator=GENERATOR),
    "thresholds": torch.rand(M, generator=GENERATOR),
}
SIMPLE = {
    "encoder.weight": PARTS["weight"],
    "encoder.bias": PARTS["bias"],
    "decoder.weight": PARTS["rows"],
    "decoder.bias": PARTS["offset"],
}
OVERCOMPLETE = {
    "encoder.final_block.0.weight": PARTS["weight"],
    "encoder.final_block.0.bias": PARTS["bias"],
    "dictionary._weights": PARTS["rows"],
    "dictionary.multiplier": torch.tensor(0.3),
}


@torch.no_grad()
def stored(
    folder: Path, names: dict[str, Any], config: dict[str, Any], *, kind: str = "json", **tensors: Any
) -> Written:
    save(folder, {**names, **tensors})
    about = {"backbone": "clip-vitb16", "layer": 10, "input_dim": R, "hidden_dim": M, **config}
    text = json.dumps(about) if kind == "json" else yaml.safe_dump(about)
    (folder / f"config.{kind}").write_text(text)
    return written("", load_sae(str(folder), device="cpu").encode(X))


TOPK, BATCH, JUMP = (
    {"activation": "topk", "k": K},
    {"activation": "batchtopk", "k": K},
    {"activation": "jumprelu"},
)
RUNNING, JUMPS = {"_running_threshold": torch.tensor(0.4)}, {"jump_thresholds": PARTS["thresholds"]}
CASES: Cases = {
    (f"{convention}, config.{kind}", option): partial(
        stored, names=names, config=config, kind=kind, **tensors
    )
    for convention, names in (("simple names", SIMPLE), ("overcomplete's names", OVERCOMPLETE))
    for kind in ("json", "yaml")
    for option, config, tensors in (
        ("topk", TOPK, {}),
        ("batchtopk, threshold in the file", BATCH, RUNNING),
        ("batchtopk, threshold in the settings", {**BATCH, "threshold": 0.4}, {}),
        ("jumprelu", JUMP, JUMPS),
    )
}

"""What overcomplete writes: states and whole modules of its SAEs, and of its factorisations."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import torch

if not hasattr(matplotlib.cm, "get_cmap"):  # which its drawing asks for, and matplotlib 3.9 dropped
    matplotlib.cm.get_cmap = matplotlib.colormaps.__getitem__
from overcomplete import sae as saes

from tests.crossed.kit import Cases, Written, outputs, trained, vectors
from tests.crossed.writers.overcomplete_more import CASES as MORE

WIDTH, SIZE, K = 12, 40, 4


def made(cls: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    if cls.startswith("RA"):
        settings["points"] = vectors(WIDTH, 32, seed=8)
    return trained(getattr(saes, cls)(WIDTH, nb_concepts=SIZE, device="cpu", **settings))


def saved(
    folder: Path,
    cls: str,
    *,
    whole: bool = False,
    beside: dict[str, Any] | None = None,
    change: str = "",
    refused: bool = False,
    k: int | None = None,
    **settings: Any,
) -> Written:
    """A state dict, or the pickled module, with settings that a user writes beside it."""
    sae = made(cls, **settings)
    if change:
        getattr(sae, change)()
    raw = vectors(WIDTH)
    if cls.startswith("Batch"):
        sae.train()
        sae.encode(raw)
    sae.eval()
    torch.save(sae if whole else sae.state_dict(), folder / "sae.pt")
    if beside is not None:
        (folder / "config.json").write_text(json.dumps(beside))
    return Written(
        dictionary="{folder}/sae.pt",
        vectors=raw,
        codes=outputs(lambda x: sae.encode(x)[1], raw),
        refused=refused,
        dictionary_options={} if k is None else {"k": k},
    )


CASES: Cases = {
    ("torch.save(state_dict)", "TopKSAE, top_k beside it"): partial(
        saved, cls="TopKSAE", top_k=K, beside={"top_k": K}
    ),
    ("torch.save(state_dict)", "TopKSAE, k given"): partial(saved, cls="TopKSAE", top_k=K, k=K),
    ("torch.save(state_dict)", "TopKSAE, k nowhere"): partial(saved, cls="TopKSAE", top_k=K),
    ("torch.save(state_dict)", "JumpSAE"): partial(saved, cls="JumpSAE"),
    ("torch.save(state_dict)", "SAE"): partial(saved, cls="SAE"),
    ("torch.save(state_dict)", "QSAE"): partial(saved, cls="QSAE", q=4),
    ("torch.save(state_dict)", "BatchTopKSAE"): partial(saved, cls="BatchTopKSAE", top_k=K * 64),
    ("torch.save(state_dict)", "MpSAE"): partial(saved, cls="MpSAE", k=None),
    ("torch.save(state_dict)", "RATopKSAE"): partial(saved, cls="RATopKSAE", top_k=K),
    ("torch.save(state_dict)", "RAJumpSAE"): partial(saved, cls="RAJumpSAE"),
    ("torch.save(state_dict)", "TopKSAE, tied"): partial(
        saved, cls="TopKSAE", top_k=K, change="tied", beside={"top_k": K}
    ),
    ("torch.save(state_dict)", "TopKSAE, untied"): partial(
        saved, cls="TopKSAE", top_k=K, change="untied", beside={"top_k": K}
    ),
    ("torch.save(module)", "TopKSAE"): partial(saved, cls="TopKSAE", top_k=K, whole=True, refused=True),
    **{
        ("torch.save(state_dict)", f"TopKSAE, encoder_module {name}"): partial(
            saved, cls="TopKSAE", top_k=K, beside={"top_k": K}, encoder_module=name
        )
        for name in ("mlp_ln_1", "mlp_bn_1", "mlp_ln_3")
    },
    ("torch.save(state_dict)", "TopKSAE, normalization l2"): partial(
        saved, cls="TopKSAE", top_k=K, beside={"top_k": K}, dictionary_params={"normalization": "l2"}
    ),
    ("torch.save(state_dict)", "TopKSAE, normalization max_l2"): partial(
        saved, cls="TopKSAE", top_k=K, beside={"top_k": K}, dictionary_params={"normalization": "max_l2"}
    ),
}
CASES |= MORE

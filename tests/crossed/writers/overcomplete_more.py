"""What overcomplete writes: state dicts, which hold neither k nor the class."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from overcomplete import sae

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import K, M, R, X, drawn, refused, save, written

POINTS = torch.randn(60, R, generator=torch.Generator().manual_seed(8))


def made(name: str, **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return getattr(sae, name)(R, M, **options)


@torch.no_grad()
def settled(model: Any) -> Any:
    """The model as it is after some steps: statistics of the batch normalisation, weights that moved."""
    drawn(model)
    for name, one in model.named_parameters():
        if name.endswith("dictionary.W"):
            one.copy_(one.abs())
        if name.endswith("thresholds"):
            one.copy_(-one.abs() - 1)
    model.train()
    for _ in range(3):
        model(X)
    return model.eval()


def state(
    folder: Path,
    name: str,
    *,
    settings: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    then: str = "",
    refuse: bool = False,
    **options: Any,
) -> Written:
    model = made(name, **options)
    if then:
        getattr(model, then)(bias=True)
    model = settled(model)
    path = save(folder, model.state_dict())
    if settings:
        (folder / "config.json").write_text(json.dumps(settings))
    if refuse:
        return refused(path)
    with torch.no_grad():
        codes = model.encode(X)[1]
    return written(path, codes, dictionary_options=asked or {})


STATE, WITH = "torch.save(state_dict)", "torch.save(state_dict), own config.json"
CASES: Cases = {
    (STATE, "TopKSAE, --k"): partial(state, name="TopKSAE", top_k=K, asked={"k": K}),
    (STATE, "TopKSAE"): partial(state, name="TopKSAE", top_k=K, refuse=True),
    (WITH, "TopKSAE"): partial(state, name="TopKSAE", top_k=K, settings={"top_k": K}),
    (STATE, "SAE, --activation relu"): partial(state, name="SAE", asked={"activation": "relu"}),
    (STATE, "JumpSAE"): partial(state, name="JumpSAE"),
    (STATE, "RATopKSAE, --k"): partial(state, name="RATopKSAE", top_k=K, points=POINTS, asked={"k": K}),
    (STATE, "RAJumpSAE"): partial(state, name="RAJumpSAE", points=POINTS),
    (STATE, "TopKSAE.tied(bias), --k"): partial(state, name="TopKSAE", top_k=K, then="tied", asked={"k": K}),
    (STATE, "TopKSAE.untied(bias), --k"): partial(
        state, name="TopKSAE", top_k=K, then="untied", asked={"k": K}
    ),
    (STATE, "mlp_ln_1"): partial(state, name="TopKSAE", top_k=K, encoder_module="mlp_ln_1", refuse=True),
    (STATE, "mlp_bn_3"): partial(state, name="TopKSAE", top_k=K, encoder_module="mlp_bn_3", refuse=True),
    (STATE, "TopKSAE, factor, --k"): partial(
        state, name="TopKSAE", top_k=K, dictionary_params={"use_multiplier": True}, asked={"k": K}
    ),
    (STATE, "QSAE"): partial(state, name="QSAE", refuse=True),
    (STATE, "MpSAE"): partial(state, name="MpSAE", k=K, refuse=True),
    (WITH, "BatchTopKSAE"): partial(
        state,
        name="BatchTopKSAE",
        top_k=K * len(X),
        settings={"sae_type": "batchtopk", "top_k": K * len(X)},
        refuse=True,
    ),
}

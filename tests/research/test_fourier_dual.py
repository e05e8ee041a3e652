"""Two encoders trained together: their loss against loops, and what is written of each."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core.errors import SettingsError
from core.research.fourier_dual import DualEncoder, cross_info_nce
from core.training import files
from core.training.setup import start_method
from core.training.trainer import train

RECIPE = {"augment": {"view": "x", "right": {"view": "f"}}, "objective": {"dual": True}}


def outputs(n: int = 5, d: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return tuple(torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


def test_cross_info_nce__matches_loop():
    left, right = outputs()
    tau, n, total = 0.3, 5, 0.0
    for i in range(n):
        rows = sum(math.exp(cosine(left[i], right[j]) / tau) for j in range(n))
        columns = sum(math.exp(cosine(left[j], right[i]) / tau) for j in range(n))
        positive = math.exp(cosine(left[i], right[i]) / tau)
        total -= (math.log(positive / rows) + math.log(positive / columns)) / 2
    assert float(cross_info_nce(left, right, temperature=tau)) == pytest.approx(total / n, rel=1e-9)
    same = torch.ones(6, 3)
    assert float(cross_info_nce(same, same, temperature=tau)) == pytest.approx(math.log(6), rel=1e-6)


def test_loss__is_nt_xent_over_both_encoders_outputs(tiny_config):
    """Eq. 5.2 over the 2N outputs: negatives of the same format too, and never an output itself."""
    torch.manual_seed(0)
    method = start_method(tiny_config(**RECIPE, temperature=0.4)).train()
    assert isinstance(method, DualEncoder)
    views = torch.rand(12, 3, 16, 16)
    loss = float(method(views).detach())
    with torch.no_grad():
        out = torch.cat(
            [
                method.head(method.backbone(views[:6])),
                method.frequency_head(method.frequency_backbone(views[6:])),
            ]
        ).double()
    total = 0.0
    for i in range(12):
        positive = math.exp(cosine(out[i], out[(i + 6) % 12]) / 0.4)
        total -= math.log(positive / sum(math.exp(cosine(out[i], out[j]) / 0.4) for j in range(12) if j != i))
    assert loss == pytest.approx(total / 12, rel=1e-4)


def test_loss__cross_only_differs_and_every_encoder_learns(tiny_config):
    for options in ({"dual": True}, {"dual": True, "cross_only": True}):
        torch.manual_seed(0)
        method = start_method(tiny_config(**{**RECIPE, "objective": options}))
        loss = method(torch.rand(12, 3, 16, 16))
        loss.backward()
        assert isinstance(method, DualEncoder)
        for part in (method.backbone, method.frequency_backbone, method.head, method.frequency_head):
            assert any(w.grad is not None and w.grad.abs().sum() > 0 for w in part.parameters())


def test_encoders__share_no_weights(tiny_config):
    method = start_method(tiny_config(**RECIPE))
    assert isinstance(method, DualEncoder)
    first, other = (
        {id(w) for w in part.parameters()} for part in (method.backbone, method.frequency_backbone)
    )
    assert not first & other
    assert not torch.equal(first_weight(method.backbone), first_weight(method.frequency_backbone))


def first_weight(network: nn.Module) -> torch.Tensor:
    return next(iter(network.parameters()))


@pytest.mark.slow
def test_train__writes_both_encoders_and_resumes_to_the_same_bits(
    tiny_source, tiny_config, tmp_path, stopping_at
):
    settings = {**RECIPE, "half": False, "epochs": 1}
    whole = train(tiny_config(**settings, output=str(tmp_path / "whole.safetensors")))
    with stopping_at(2), pytest.raises(KeyboardInterrupt):
        train(tiny_config(**settings))
    output = train(tiny_config(**settings))
    assert files.companion_path(whole, "frequency").name == "whole.safetensors.frequency.safetensors"
    for path in (lambda file: file, lambda file: files.companion_path(file, "frequency")):
        once, again = load_file(path(whole)), load_file(path(output))
        assert once and all(torch.equal(tensor, again[key]) for key, tensor in once.items())
    image, frequency = (load_file(path) for path in (whole, files.companion_path(whole, "frequency")))
    assert image.keys() == frequency.keys()
    assert any(not torch.equal(image[key], frequency[key]) for key in image)
    assert set(files.all_paths(whole)) >= {whole, files.companion_path(whole, "frequency")}


@pytest.mark.parametrize("method", ["byol", "moco", "dino", "simsiam"])
def test_dual__refuses_other_methods_by_name(tiny_config, method):
    with pytest.raises(SettingsError, match=f"by simclr's loss, not by {method}'s"):
        tiny_config(method=method, **RECIPE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_size": 15}, "crop_size = 15 is odd"),
        ({"start": "asset:x"}, "leave out start"),
        ({"domains": {"labels": "folder"}}, r"a second encoder that \[domains\] does not split"),
        (
            {"objective": {"dual": True, "cross_only": True, "ifm_epsilon": 0.1}},
            "which cross_only does not have",
        ),
    ],
    ids=str,
)
def test_dual__one_clear_line(tiny_config, changes, message):
    with pytest.raises(SettingsError, match=message):
        tiny_config(**{**RECIPE, **changes})

#!/usr/bin/env bash
# captum==0.9.0 with timm==1.0.31 and torch==2.14.1. Seen on 2026-11-30.
#
# Guess before it was run: Grad-CAM of a block that returns tokens, or height, width and channels, is either refused or
# laid out as a map of its places.
#
# What happens: LayerGradCam takes the second axis for the channels, whatever the layer returns. Of a ViT's block it
# averages gradients over channels and adds up over tokens: a number for each of 192 channels, no map. Of a Swin's
# block (height, width, channels) it adds up over the rows: (1, 7, 768), which LayerAttribution.interpolate takes for a
# map and enlarges to the picture. No warning. With the axes put in order by a layer around the block it is right.
#
# Output seen:
#   vit_tiny_patch16_224: attribution (1, 1, 192) of tokens (1, 197, 192), 0 warnings
#   swin_tiny_patch4_window7_224: attribution (1, 1, 7, 768) of places (1, 7, 7, 768), 0 warnings
#   enlarged to (1, 1, 224, 224): correlation with the map of the same product over channels -0.02
#   channels first: attribution (1, 1, 7, 7), difference to that map 0
#
# Why it matters: a heatmap that looks like one and is not. Maps of transformers by captum need the axes in order first,
# and a comparison with another tool's maps says nothing before.
#
# Usage: captum_gradcam_axes.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check captum==0.9.0 timm==1.0.31 torch==2.14.1
fi
cat > "$folder/look.py" <<'PYTHON'
import warnings

import timm
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn


class Permuted(nn.Module):
    """A block whose output passes a layer that sees channels first."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block, self.channels_first = block, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.channels_first(self.block(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def output_of(model: nn.Module, layer: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """What the layer returns, and the gradient of class 1 there."""
    kept = []
    handle = layer.register_forward_hook(lambda _, __, out: kept.append(out))
    logit = model(pixels)[:, 1].sum()
    handle.remove()
    return kept[0], torch.autograd.grad(logit, kept[0])[0]


torch.manual_seed(0)
pixels = torch.randn(1, 3, 224, 224)
vit = timm.create_model("vit_tiny_patch16_224", num_classes=5).eval()
swin = timm.create_model("swin_tiny_patch4_window7_224", num_classes=5).eval()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name, model, layer in (
        ("vit_tiny_patch16_224", vit, vit.blocks[-1].norm1),
        ("swin_tiny_patch4_window7_224", swin, swin.layers[-1].blocks[-1]),
    ):
        theirs = LayerGradCam(model, layer).attribute(pixels, target=1)
        outputs, gradients = output_of(model, layer, pixels)
        what = "tokens" if outputs.ndim == 3 else "places"
        print(
            f"{name}: attribution {tuple(theirs.shape)} of {what} {tuple(outputs.shape)}, {len(caught)} warnings"
        )
        assert theirs.shape == (1, 1, *outputs.shape[2:]), "changed: the axes"
enlarged = LayerAttribution.interpolate(theirs.detach(), (224, 224), "bilinear")
by_places = (gradients.mean(dim=(1, 2), keepdim=True) * outputs).sum(dim=3, keepdim=True).permute(0, 3, 1, 2)
right = LayerAttribution.interpolate(by_places.detach(), (224, 224), "bilinear")
alike = float(torch.corrcoef(torch.stack([enlarged.flatten(), right.flatten()]))[0, 1])
print(f"enlarged to {tuple(enlarged.shape)}: correlation with the map of the same product over channels {alike:.2f}")
assert abs(alike) < 0.5 and not caught, "changed: the enlarged attribution"

block = swin.layers[-1].blocks[-1] = Permuted(swin.layers[-1].blocks[-1])
ordered = LayerGradCam(swin, block.channels_first).attribute(pixels, target=1).detach()
apart = float((ordered - by_places.detach()).abs().max())
print(f"channels first: attribution {tuple(ordered.shape)}, difference to that map {apart:.1g}")
assert ordered.shape == by_places.shape and apart < 1e-6, "changed: channels first"
PYTHON
"$python" "$folder/look.py"

#!/usr/bin/env bash
# open_clip_torch==3.3.0 with torch==2.14.1. Seen on 2026-11-30.
#
# Guess before it was run: the tag of pretrained weights decides on the network that they need, so that ViT-B-32 with
# the tag "openai" has the activation that these weights were trained with.
#
# What happens: the name of the network alone decides. For 28 of its 196 pairs of name and tag the registry of open_clip
# states another activation than the network is built with, OpenAI's own weights under their usual names among them. The
# weights fit all the same, and create_model only warns; of a file in place of a tag it says nothing. Of
# roberta-ViT-B-32 it is the other way round (a network with quick GELU, weights that state none), so that the registry
# or the network is wrong there, and no name avoids the warning.
#
# Output seen:
#   pairs of another activation: 28 of 196
#   their tags: cc12m, dfn2b, dfn5b, laion2b_s12b_b32k, laion400m_e31, laion400m_e32, metaclip2_worldwide,
#     metaclip_400m, metaclip_fullcc, openai, yfcc15m
#   ViT-B-32, openai: built with GELU, 1 warning
#   ViT-B-32, a file of these weights: built with GELU, 0 warnings
#   ViT-B-32-quickgelu, openai: built with QuickGELU, 0 warnings
#   image features of the same weights: 0.000 between the first two, off by 0.007 from the third
#
# Why it matters: a warning among many, and features that are nearly right: similarities, zero-shot answers and
# concepts of a network that nobody trained. The weights here are drawn (nothing is downloaded), so that the size of the
# difference says nothing about trained ones.
#
# Usage: open_clip_quick_gelu.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check open_clip_torch==3.3.0 torch==2.14.1
fi
cat > "$folder/look.py" <<'PYTHON'
import sys
import warnings
from typing import Any

import open_clip
import torch
from open_clip import factory

SIZE = {"force_image_size": 64}
pairs = open_clip.list_pretrained()
stated = {pair: bool(open_clip.get_pretrained_cfg(*pair).get("quick_gelu")) for pair in pairs}
built = {name: bool(open_clip.get_model_config(name).get("quick_gelu")) for name, _ in pairs}
other = [(name, tag) for (name, tag), quick in stated.items() if quick != built[name]]
print(f"pairs of another activation: {len(other)} of {len(pairs)}")
print("their tags:", ", ".join(sorted({tag for _, tag in other})))
assert ("ViT-B-32", "openai") in other and len(other) == 28, "changed: the pairs"

weights = f"{sys.argv[1]}/weights.pt"
torch.manual_seed(0)
torch.save(open_clip.create_model("ViT-B-32-quickgelu", **SIZE).state_dict(), weights)
factory.download_pretrained = lambda *_, **__: weights  # in place of the network


def look(name: str, pretrained: str) -> tuple[Any, str, int]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = open_clip.create_model(name, pretrained=pretrained, **SIZE).eval()
    n = sum("QuickGELU" in str(one.message) for one in caught)
    return model, type(model.visual.transformer.resblocks[0].mlp.gelu).__name__, n


def features(model: Any) -> torch.Tensor:
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.encode_image(pixels, normalize=True)


seen = []
for name, pretrained, said in (
    ("ViT-B-32", "openai", "openai"),
    ("ViT-B-32", weights, "a file of these weights"),
    ("ViT-B-32-quickgelu", "openai", "openai"),
):
    model, activation, n = look(name, pretrained)
    print(f"{name}, {said}: built with {activation}, {n} warning{'' if n == 1 else 's'}")
    seen.append((activation, n, features(model)))
assert [one[:2] for one in seen] == [("GELU", 1), ("GELU", 0), ("QuickGELU", 0)], "changed: what is built"
by_tag, by_file, right = (one[2] for one in seen)
alike = float((by_tag - by_file).norm() / right.norm())
off = float((by_tag - right).norm() / right.norm())
print(f"image features of the same weights: {alike:.3f} between the first two, off by {off:.3f} from the third")
assert alike < 1e-4 < 0.001 < off, "changed: the features"
PYTHON
"$python" "$folder/look.py" "$folder"

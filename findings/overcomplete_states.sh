#!/usr/bin/env bash
# overcomplete==0.3.0 with torch==2.14.1. Seen on 2026-11-29.
#
# Guess before it was run: the state dict of a trained sparse autoencoder holds what its codes depend on, so that
# a second one of the same class, loaded from it, has the same codes; and states of different classes differ.
#
# What happens:
# * BatchTopKSAE keeps its running threshold as a plain attribute, not as a buffer: it is not in the state dict. A
#   model loaded from it raises "Running threshold is not initialized." as soon as it encodes in eval mode.
# * States of SAE, TopKSAE and BatchTopKSAE have the same keys, and hold neither the class nor k.
# * top_k of BatchTopKSAE counts the codes of the whole batch, that of TopKSAE the codes of each vector: with top_k
#   40 a batch of 64 vectors keeps 0.6 codes a vector.
#
# Output seen:
#   keys that differ between SAE, TopKSAE, BatchTopKSAE: none
#   threshold in the state of BatchTopKSAE: False
#   loaded again, in eval mode: AssertionError: Running threshold is not initialized.
#   codes a vector with top_k 40, batch of 64: 0.6
#
# Why it matters: who stores states has to store class, k and running_threshold beside them; who reads one cannot
# know how codes are kept, and must ask.
#
# Usage: overcomplete_states.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check torch==2.14.1 overcomplete==0.3.0 "matplotlib<3.9"
fi
cat > "$folder/look.py" <<'PYTHON'
import torch
from overcomplete.sae import SAE, BatchTopKSAE, TopKSAE

torch.manual_seed(0)
x = torch.randn(64, 16)
states = [cls(16, 40).state_dict().keys() for cls in (SAE, TopKSAE, BatchTopKSAE)]
differ = sorted(set().union(*states) - set.intersection(*map(set, states)))
print("keys that differ between SAE, TopKSAE, BatchTopKSAE:", ", ".join(differ) or "none")
assert not differ, "changed: the states differ"

model = BatchTopKSAE(16, 40, top_k=40)
for _ in range(5):
    codes = model(x)[1]
stored = any("threshold" in name for name in model.state_dict())
print("threshold in the state of BatchTopKSAE:", stored)
assert not stored, "changed: the threshold is stored"

again = BatchTopKSAE(16, 40, top_k=40)
again.load_state_dict(model.state_dict())
again.eval()
try:
    again.encode(x)
    raise SystemExit("changed: it encodes")
except AssertionError as error:
    print("loaded again, in eval mode: AssertionError:", error)

each = float((codes > 0).sum(1).float().mean())
print(f"codes a vector with top_k 40, batch of 64: {each:.1f}")
assert abs(each - 40 / 64) < 0.02, "changed: top_k counts otherwise"
PYTHON
"$python" "$folder/look.py"

#!/usr/bin/env bash
# scikit-learn==1.9.1 and scipy==1.17.1. Seen on 2026-11-30.
#
# Guess before it was run: what NMF has learned is its components; whoever has them can encode another vector, by
# non-negative least squares.
#
# What happens: transform() minimises the objective of the fit, with its penalty on the codes (alpha_W, l1_ratio) and
# its divergence (beta_loss). Neither is among the fitted arrays, whose names end in "_".
#
# Output seen:
#   plain: codes off by 0.00
#   alpha_W=.02, l1_ratio=1: codes off by 0.74
#   beta_loss="kullback-leibler": codes off by 0.14
#
# Why it matters: a file of components is no dictionary. Store get_params() beside it, or the codes that others
# compute are other codes, of another support.
#
# Usage: nmf_components.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 scipy==1.17.1
fi
cat > "$folder/look.py" <<'PYTHON'
import numpy as np
from scipy.optimize import nnls
from sklearn.decomposition import NMF

x = np.random.default_rng(0).random((64, 16))
found = []
for name, options in (
    ("plain", {}),
    ("alpha_W=.02, l1_ratio=1", {"alpha_W": 0.02, "l1_ratio": 1.0}),
    ('beta_loss="kullback-leibler"', {"beta_loss": "kullback-leibler", "solver": "mu"}),
):
    model = NMF(8, tol=1e-8, max_iter=5000, random_state=0, **options).fit(x)
    by_components = np.stack([nnls(model.components_.T, one)[0] for one in x])
    codes = model.transform(x)
    found.append(float(np.linalg.norm(by_components - codes) / np.linalg.norm(codes)))
    print(f"{name}: codes off by {found[-1]:.2f}")
    arrays = {key for key, value in vars(model).items() if key.endswith("_") and isinstance(value, np.ndarray)}
    assert arrays == {"components_"}, "changed: what is fitted"
assert found[0] < 0.01 < 0.1 < min(found[1:]), "changed: what transform minimises"
PYTHON
"$python" -W ignore "$folder/look.py"

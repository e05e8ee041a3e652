#!/usr/bin/env bash
# torchmetrics==1.9.0 with torch==2.14.1, scikit-learn==1.9.1 beside it. Seen on 2026-11-30.
#
# Guess before it was run: AUROC and average precision depend on the order of the scores alone, so that the length of a
# representation can be handed over as it is.
#
# What happens: one score outside 0 to 1 and all of them are taken for logits, through a sigmoid. The order is the same
# in theory; but above about 17 in float32 (37 in float64) a sigmoid is 1, so such scores are tied. Lengths about 60
# are then no better than chance, without a warning. Divided by their largest, or as ranks, they are judged rightly.
#
# Output seen:
#   lengths about 60: AUROC 0.500 of torchmetrics, 0.873 of scikit-learn; average precision 0.300 and 0.776
#   lengths about 18, float32: AUROC 0.539 of torchmetrics, 0.873 of scikit-learn; average precision 0.317 and 0.776
#   lengths over the largest: AUROC 0.873 of torchmetrics, 0.873 of scikit-learn; average precision 0.776 and 0.776
#   warnings: 0
#
# Why it matters: norms, energies, distances and largest logits are what errors and unknown images are told by. Whoever
# checks such a score of an encoder with torchmetrics may drop a good one as useless, or find two libraries apart.
#
# Usage: torchmetrics_scores_as_logits.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check torchmetrics==1.9.0 torch==2.14.1 scikit-learn==1.9.1
fi
cat > "$folder/look.py" <<'PYTHON'
import warnings

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

rng = np.random.default_rng(0)
is_wrong = rng.random(5000) < 0.3
order = rng.normal(size=5000) + 1.6 * is_wrong
cases = {
    "lengths about 60": 60 + 5 * order,
    "lengths about 18, float32": (18 + order).astype(np.float32),
}
cases["lengths over the largest"] = cases["lengths about 60"] / cases["lengths about 60"].max()
truth = torch.tensor(is_wrong).int()
seen = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name, scores in cases.items():
        given = torch.tensor(scores)
        theirs = float(binary_auroc(given, truth)), float(binary_average_precision(given, truth))
        plain = roc_auc_score(is_wrong, scores), average_precision_score(is_wrong, scores)
        print(
            f"{name}: AUROC {theirs[0]:.3f} of torchmetrics, {plain[0]:.3f} of scikit-learn;"
            f" average precision {theirs[1]:.3f} and {plain[1]:.3f}"
        )
        seen[name] = theirs[0], plain[0]
print("warnings:", len(caught))
far, near, within = seen.values()
assert far[0] == 0.5 and far[1] > 0.8, "changed: scores far above 1"
assert near[0] < near[1] - 0.1, "changed: scores a little above where a sigmoid is 1"
assert abs(within[0] - within[1]) < 1e-4, "changed: scores between 0 and 1"
PYTHON
"$python" "$folder/look.py"

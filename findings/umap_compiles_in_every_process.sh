#!/usr/bin/env bash
# umap-learn==0.5.12 with pynndescent==0.7.0 and numba==0.68.1. Seen on 2026-12-01.
#
# Guess before it was run: with NUMBA_CACHE_DIR set the first fit of a machine compiles, and later processes read what
# it compiled, so that a map of some hundred points takes seconds.
#
# What happens: all functions of umap-learn but one ask for no cache, so every process compiles them again. Those of
# pynndescent that ask for one are kept, but from 4,096 rows on the search of neighbours itself is compiled anew in each
# process, too.
#
# Output seen (processor seconds on a crowded core; the counts are what is checked):
#   4,095 rows, first process: 6 functions of umap compiled, 0 of the search, 65 s
#   4,095 rows, second process: 6 functions of umap compiled, 0 of the search, 42 s
#   4,096 rows, first process: 4 functions of umap compiled, 2 of the search, 68 s
#   4,096 rows, second process: 4 functions of umap compiled, 2 of the search, 57 s
#   functions of umap in the cache: 1
#
# Why it matters: a tool that starts a process for each map pays for compiling each time, which is most of the time of a
# map of a few thousand images. Neighbours that are given (`precomputed_knn`) spare the second part, and functions that
# are compiled with `cache=True` the first.
#
# Usage: umap_compiles_in_every_process.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check umap-learn==0.5.12 pynndescent==0.7.0 numba==0.68.1
fi
cat > "$folder/fit.py" <<'PYTHON'
import sys
import time
import warnings

import numpy as np
import umap
from numba.core import event

warnings.simplefilter("ignore")
compiled: set[str] = set()


class Listener(event.Listener):
    def on_start(self, event: event.Event) -> None:
        function = event.data["dispatcher"].py_func
        compiled.add(f"{function.__module__.partition('.')[0]}.{function.__qualname__}")

    def on_end(self, event: event.Event) -> None:
        pass


points = np.random.default_rng(0).normal(size=(int(sys.argv[1]), 20)).astype(np.float32)
with event.install_listener("numba:compile", Listener()):
    umap.UMAP(random_state=0, n_jobs=1, n_epochs=5, init="random").fit(points)
of_umap = sum(name.startswith("umap.") for name in compiled)
search = sum("nn_descent" in name for name in compiled)
print(of_umap, search, round(time.process_time()))
PYTHON
export NUMBA_CACHE_DIR="$folder/cache" OMP_NUM_THREADS=1
mkdir "$NUMBA_CACHE_DIR"
first=$("$python" "$folder/fit.py" 4095)
second=$("$python" "$folder/fit.py" 4095)
more=$("$python" "$folder/fit.py" 4096)
again=$("$python" "$folder/fit.py" 4096)
kept=$(find "$NUMBA_CACHE_DIR" -name '*.nbi' | grep -c '/umap_[^/]*/' || true)
set -- $first; echo "4,095 rows, first process: $1 functions of umap compiled, $2 of the search, $3 s"
set -- $second; echo "4,095 rows, second process: $1 functions of umap compiled, $2 of the search, $3 s"; umap_again=$1; search_small=$2
set -- $more; echo "4,096 rows, first process: $1 functions of umap compiled, $2 of the search, $3 s"
set -- $again; echo "4,096 rows, second process: $1 functions of umap compiled, $2 of the search, $3 s"; search_again=$2
echo "functions of umap in the cache: $kept"
"$python" - "$umap_again" "$kept" "$search_small" "$search_again" <<'PYTHON'
import sys

umap_again, kept, search_small, search_again = map(int, sys.argv[1:])
assert umap_again > kept <= 1, "changed: umap-learn keeps what it compiles"
assert search_small == 0 < search_again, "changed: when the search of neighbours is compiled"
PYTHON

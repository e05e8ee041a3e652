#!/usr/bin/env bash
# webdataset==1.0.2. Seen on 2026-11-30.
#
# Guess before it was run: what ShardWriter writes under "cls" comes back from WebDataset(...).decode() as it was: a
# class as a number or as a text.
#
# What happens: the writer takes both; a text is stored as its bytes. The default decoder makes `int(...)` of every
# "cls", so a shard with names of classes cannot be read by the library that wrote it: DecodingError, whose own message
# is empty. Under "txt" the same names come back. A number comes back as a number, also 007, as 7.
#
# Output seen:
#   cls: 3 -> 3
#   cls: b'007' -> 7
#   cls: 'hot dog' -> DecodingError
#   txt: 'hot dog' -> 'hot dog'
#
# Why it matters: shards by others hold names under "cls", which a reader that only takes numbers loses; and ids with
# leading zeros are others after one round.
#
# Usage: webdataset_class_texts.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check webdataset==1.0.2 numpy
fi
cat > "$folder/look.py" <<'PYTHON'
import tempfile
from pathlib import Path
from typing import Any

import webdataset as wds

CASES: tuple[tuple[str, Any], ...] = (("cls", 3), ("cls", b"007"), ("cls", "hot dog"), ("txt", "hot dog"))
seen = []
with tempfile.TemporaryDirectory() as folder:
    for number, (ending, value) in enumerate(CASES):
        path = str(Path(folder, f"{number}-%01d.tar"))
        with wds.ShardWriter(path, verbose=0) as writer:
            writer.write({"__key__": "a", ending: value})
        try:
            back = next(iter(wds.WebDataset(path % 0, shardshuffle=False).decode()))[ending]
            text = repr(back)
        except Exception as error:
            text = type(error).__name__
        seen.append(text)
        print(f"{ending}: {value!r} -> {text}")
assert seen == ["3", "7", "DecodingError", "'hot dog'"], "changed: what comes back"
PYTHON
"$python" "$folder/look.py"

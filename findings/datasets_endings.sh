#!/usr/bin/env bash
# datasets==5.2.0 with pyarrow==26.0.1, pandas==3.1.1. Seen on 2026-11-29.
#
# Guess before it was run: a folder is read by the ending of its files, the last part of a name; where a .json
# lies beside a .csv, the .csv is read or the folder is refused; files of unknown endings are left alone.
#
# What `load_dataset(FOLDER)` does:
# * Every part of a name after a dot counts as an ending. quality.csv.about, a note beside a table, is read as
#   a second table of CSV, and the whole folder fails with DatasetGenerationCastError.
# * Of two kinds that are equally frequent one is read and the other left out without a word: of quality.csv and
#   notes.json only the JSON, of one .csv and two .txt only the texts.
# * A file whose name begins with "dev" is the split "validation", and then all files that name no split are
#   left out without a word: of dev-quality.csv and quality.csv two of four rows are read.
#
# Output seen:
#   table alone: train 2 rows: image, label
#   note called quality.csv.about: DatasetGenerationCastError
#   note called quality.csv-about: train 2 rows: image, label
#   one JSON beside it: train 1 rows: study, answer
#   two texts beside it: train 3 rows: text
#   dev-quality.csv beside it: validation 2 rows: image, label
#
# Why it matters: who exports a table and puts a note, licence or manifest beside it for others to load loses the
# table, and is told only in the first case. A sidecar needs a name without a dot before its own word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1
cat > "$folder/look.py" <<'PYTHON'
import os
import sys
from pathlib import Path

os.environ |= {"HF_HOME": f"{sys.argv[1]}/home", "HF_HUB_OFFLINE": "1"}
import datasets

datasets.disable_progress_bars()
TABLE = "image,label\na.png,1\nb.png,0\n"
NOTE = '{"study": "demo", "answer": "head"}\n'


def look(name: str, expected: str, **others: str) -> None:
    place = Path(sys.argv[1]) / name.replace(" ", "_")
    place.mkdir()
    (place / "quality.csv").write_text(TABLE)
    for other, text in others.items():
        (place / other).write_text(text)
    try:
        found = datasets.load_dataset(str(place))
        said = "; ".join(f"{split} {len(rows)} rows: {', '.join(rows.column_names)}" for split, rows in found.items())
    except Exception as error:
        said = type(error).__name__
    print(f"{name}: {said}")
    assert said == expected, f"changed: it was {expected}"


both = "train 2 rows: image, label"
look("table alone", both)
look("note called quality.csv.about", "DatasetGenerationCastError", **{"quality.csv.about": NOTE})
look("note called quality.csv-about", both, **{"quality.csv-about": NOTE})
look("one JSON beside it", "train 1 rows: study, answer", **{"notes.json": NOTE})
texts = {"README.txt": "first\nsecond\n", "LICENSE.txt": "third\n"}
look("two texts beside it", "train 3 rows: text", **texts)
look("dev-quality.csv beside it", "validation 2 rows: image, label", **{"dev-quality.csv": TABLE})
PYTHON
"$folder/venv/bin/python" "$folder/look.py" "$folder"

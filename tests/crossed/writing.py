"""Write the cases of a tool, in its environment: `python -m tests.crossed.writing WRITER FOLDER [WORD]`.

WORD is part of the writer or the option of those that are written; without it all are. Prints, as its last
line, a JSON list of {writer, option, folder, problem}; cases whose folder is whole stay.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import shutil
import sys
import traceback
import warnings
from pathlib import Path

from tests.crossed.kit import CASE, Cases, Write


def slug(writer: str, option: str) -> str:
    """A short name for a folder, different for different cases.

    >>> slug("torch.save", "resnet18, EMA")
    'torch.save-resnet18-EMA-5c90'
    """
    whole = f"{writer} {option}"
    words = re.sub(r"[^\w.]+", "-", whole).strip("-")[:60]
    return f"{words}-{hashlib.sha256(whole.encode()).hexdigest()[:4]}"


def write(case: Write, folder: Path) -> str:
    """Write a case into its folder unless it is there; return why it could not be written, or ""."""
    if (folder / CASE).is_file():
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        case(folder).store(folder)
    except Exception as error:
        traceback.print_exc()
        shutil.rmtree(folder, ignore_errors=True)
        first = (str(error).strip().splitlines() or [""])[0]
        return f"{type(error).__name__}: {first}"[:200]
    return ""


def main(module: str, folder: Path, word: str = "") -> None:
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    cases: Cases = importlib.import_module(f"tests.crossed.writers.{module}").CASES
    done = []
    for (writer, option), case in cases.items():
        if word not in f"{writer} {option}":
            continue
        name = slug(writer, option)
        problem = write(case, folder / name)
        done.append({"writer": writer, "option": option, "folder": name, "problem": problem})
    print(json.dumps(done))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

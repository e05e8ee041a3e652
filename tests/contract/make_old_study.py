"""Make a small study that holds all that left with 0.4.0. Run it in a checkout of commit 00466863:

    python make_old_study.py FOLDER

FOLDER/old is the study: Glyphworld by a small encoder, with a basis of two encoders and one of its own,
rendered twins of words, mask interventions, the combined score and tokens of its images. FOLDER/other is the
second encoder's. Beside them lies what commands wrote elsewhere: a sheet, the tasks of a human study.
It takes two minutes of a core. `tests/contract/old_study.py` builds an equal one without that code, and
compares both.
"""

import sys
from pathlib import Path

from core.cli import main

WORLD = "glyphworld?preset=compose&train=64&val=40&size=64"
SMALL = ("--arch", "timm:test_resnet", "--image-size", "64", "--crop-size", "64", "--batch-size", "16")
HERE = ("--workers", "0", "--device", "cpu")
TOKENS = """\
output = "{0}/tokens.safetensors"
tokens = "{0}/tokens"
width = 16
layers = 2
heads = 2
epochs = 1
batch_size = 16
"""


def make(folder: Path) -> None:
    """Make both studies and what lies beside them."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(("old", "other")):
        checkpoint = folder / f"{name}.safetensors"
        _run("train", "--images", WORLD, *SMALL, "--epochs", 2, "--seed", seed, "--device", "cpu",
             "--workers", 1, "--cache", folder / "cache", "-o", checkpoint)  # fmt: skip
        _run(
            "analyze",
            folder / name,
            "--images",
            WORLD,
            "--device",
            "cpu",
            "--encoder",
            checkpoint,
            "--epsilon",
            1.5,
            "--lr",
            0.1,
            *HERE,
        )
    old, other = folder / "old", folder / "other"
    _run("concepts", old, "--twins", 8, "--min-images", 3, "--k", 1, *HERE[2:])
    _run("failures", old)
    _run("mask-interventions", old, "--sample", 8, "--bootstrap", 20, *HERE)
    basis = ("--kind", "topk", "--size", 16, "--k", 4, "--steps", 20, "--seeds", 2, "--device", "cpu")
    _run("basis", old, *basis, "--name", "own")
    _run("basis", old, *basis, "--name", "shared", "--with", other)
    for name in ("own", "shared"):
        _run("features", old, "--basis", name, "--epsilon", 1.5)
        _run("quality", old, "--basis", name)
    _run("compare", old, other, "--shared", "shared")
    _run("export", old, "word_twins", "-o", folder / "word_twins.csv")
    _run("figure-sheet", old, "roc", "baselines", "-o", folder / "sheet.svg")
    _run("human-study", "export", old, "-o", folder / "tasks")
    _run("extract-tokens", WORLD, "-o", folder / "tokens")
    (folder / "tokens.toml").write_text(TOKENS.format(folder), encoding="utf-8")
    _run("train-tokens", folder / "tokens.toml")
    _run("compositionality", folder / "tokens.safetensors", "--tokens", folder / "tokens", "--n", 8,
         "--root", WORLD, "--study", old)  # fmt: skip
    _run("verify", old)


def _run(*words: object) -> None:
    command = [str(word) for word in words]
    if main(command):
        raise SystemExit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    make(Path(sys.argv[1]))

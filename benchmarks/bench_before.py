"""What an analysis costs against version 0.3.0 (commit 00466863), in one run, pinned to one core.

Both run the same networks, seeded random weights but for EfficientNet-Lite0, on the photographs of
`benchmarks.photographs` (PEREGRINE_PHOTOGRAPHS), in turns. Of `embed` and `heatmaps` the processor seconds of
an analysis of N_FEW pictures are taken off: what starts, loads and compiles. All else is whole commands.
PEREGRINE_BENCH_PARTS=networks,analyses,demo,memory,crowded runs some of the parts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import photographs
from benchmarks.results import Absent, Result
from benchmarks.studies import FOLDER
from benchmarks.usage import Usage, measured

BEFORE, HERE = "00466863", Path.cwd()
ONE, TWO = (0,), (0, 1)
N_MANY, N_FEW, N_ANALYSED = 1000, 20, 200
COUNTED = ("embed", "heatmaps")
FLOAT32, BFLOAT16 = "float32", "bfloat16"
# Goals for each network, and for whole analyses, in float32 and in bfloat16.
GOALS = {
    "ResNet-50": (0.55, 0.32),
    "EfficientNet-Lite0": (0.55, 0.45),
    "ViT-S/16": (0.40, 0.35),
    "ConvNeXt-Tiny": (0.40, 0.35),
}
ANALYSIS, WITH_WORDS, MEMORY, DEMO, CROWDED = (0.50, 0.40), (0.60, 0.45), 0.75, 0.6, 1.5
CLIP = "ViT-B-32"
CAPTIONS = ("a dog", "grass", "a red car", "water", "a bird in a tree", "a plate of food", "a boat", "snow")
SPIN = "while True: pass"


def run() -> Iterator[Result | Absent]:
    pictures = photographs.folder_of(N_MANY)
    if isinstance(pictures, str):
        yield Absent("against 0.3.0", pictures)
        return
    tree = checkout()
    parts: dict[str, Callable[[Path], Iterator[Result | Absent]]] = {
        "networks": networks,
        "analyses": analyses,
        "demo": demo,
        "memory": memory,
        "crowded": crowded,
    }
    for name in os.environ.get("PEREGRINE_BENCH_PARTS", ",".join(parts)).split(","):
        yield from parts[name](tree)


def checkout() -> Path:
    """The files of BEFORE, in a folder of their own."""
    tree = (FOLDER / "before").resolve()
    if not tree.exists():
        tree.mkdir(parents=True)
        packed = subprocess.run(["git", "archive", BEFORE], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(tree)], input=packed, check=True)
    return tree


def networks(tree: Path) -> Iterator[Result | Absent]:
    for name, goals in GOALS.items():
        before = of_pictures(tree, name, FLOAT32)

        def compare(precision: str, name: str = name, before: dict[str, float] = before) -> tuple[float, str]:
            after = of_pictures(HERE, name, precision)
            each = "; ".join(f"{step} {before[step]:.1f} → {after[step]:.1f} s" for step in COUNTED)
            return sum(after.values()) / sum(before.values()), f"processor time: {each}"

        yield from in_both(f"embed + heatmaps, {name}", goals, compare)


def in_both(
    title: str, goals: tuple[float, float], compare: Callable[[str], tuple[float, str]]
) -> Iterator[Result | Absent]:
    """A row a precision; one that this machine refuses is absent. compare: precision -> ratio and detail."""
    for precision, goal in zip((FLOAT32, BFLOAT16), goals, strict=True):
        name = f"{title}, {precision}"
        try:
            ratio, detail = compare(precision)
        except RuntimeError as error:
            yield Absent(name, last_line(error))
        else:
            yield Result(name, ratio, "x", goal, False, detail)


def of_pictures(tree: Path, name: str, precision: str) -> dict[str, float]:
    """Processor seconds of COUNTED for N_MANY pictures less those for N_FEW."""
    many, few = (steps(tree, name, precision, n_images) for n_images in (N_MANY, N_FEW))
    return {step: many[step] - few[step] for step in COUNTED}


def steps(tree: Path, name: str, precision: str, n_images: int) -> dict[str, float]:
    """Processor seconds of each step of an analysis by the code of a tree."""
    options = {
        "images": str(photographs.folder_of(n_images)),
        "encoder": photographs.spec_of(name),
        "device": "cpu",
        "precision": precision,
    }
    with new_study() as study:
        options_file = study.with_name("options.json")
        options_file.write_text(json.dumps(options))
        script = str(HERE / "benchmarks" / "timed_steps.py")
        words = [sys.executable, script, str(study), str(options_file)]
        used = measured(words, ONE, cwd=tree, env={"PYTHONPATH": str(tree)})
    return json.loads(used.output.splitlines()[-1])


def analyses(tree: Path) -> Iterator[Result | Absent]:
    """`analyze` to its end, nothing taken off: without and with masks and words of a CLIP.

    What UMAP takes is compiled before, as `make setup` does; 0.3.0 compiled it in each analysis.
    """
    measured([sys.executable, "-m", "core.analysis.warm_map"], ONE)
    for name, more, goals in (("", [], ANALYSIS), (" with masks and a CLIP", words_and_masks(), WITH_WORDS)):
        before = analyzed(tree, FLOAT32, more)

        def compare(precision: str, more: list[str] = more, before: Usage = before) -> tuple[float, str]:
            row = ratio_of("", analyzed(HERE, precision, more), before, 0)
            return row.value, row.detail

        yield from in_both(f"analyze{name}, {N_ANALYSED}", goals, compare)


def analyzed(tree: Path, precision: str, more: list[str], cores: tuple[int, ...] = ONE) -> Usage:
    with new_study() as study:
        given = ["--images", str(photographs.folder_of(N_ANALYSED)), "--precision", precision, *more]
        encoder = ["--encoder", photographs.spec_of("ResNet-50"), "--device", "cpu"]
        return command(tree, ["analyze", str(study), *given, *encoder], cores)


def words_and_masks() -> list[str]:
    """Options for masks (an ellipse in each picture) and for words by an open_clip with random weights."""
    import open_clip
    import torch

    folder = (FOLDER / "words").resolve()
    weights, captions = folder / "clip.pt", folder / "captions.txt"
    if not captions.exists():
        (folder / "masks" / "core").mkdir(parents=True, exist_ok=True)
        torch.manual_seed(photographs.SEED)
        torch.save(open_clip.create_model(CLIP, pretrained=None).state_dict(), weights)
        for path in sorted(Path(photographs.folder_of(N_ANALYSED)).iterdir()):
            with Image.open(path) as picture:
                ellipse(*picture.size).save(folder / "masks" / "core" / f"{path.stem}.png")
        captions.write_text("\n".join(CAPTIONS) + "\n")
    clip = ["--clip", f"{CLIP}@{weights}", "--captions", str(captions)]
    return ["--masks", str(folder / "masks"), *clip]


def ellipse(width: int, height: int) -> Image.Image:
    """The middle half of a picture of this size, white on black."""
    across, down = (np.linspace(-1, 1, size) for size in (width, height))
    return Image.fromarray(np.where(across**2 + down[:, None] ** 2 < 0.5, 255, 0).astype(np.uint8))


def demo(tree: Path) -> Iterator[Result]:
    """The study of the demo, until it has all that its pages show."""
    before, after = (built(one) for one in (tree, HERE))
    yield ratio_of("demo --single", after, before, DEMO)


def built(tree: Path) -> Usage:
    with new_study() as study:
        return command(tree, ["demo", "--single", "--studies", str(study)], ONE)


def memory(tree: Path) -> Iterator[Result]:
    """The most memory of `embed`, alone and in all its processes."""
    for name in ("ResNet-50", "EfficientNet-Lite0"):
        before, after = (embedded(one, name) for one in (tree, HERE))
        detail = f"{before.peak_mib:.0f} → {after.peak_mib:.0f} MiB"
        yield Result(f"peak of embed, {name}", after.peak_mib / before.peak_mib, "x", MEMORY, False, detail)


def embedded(tree: Path, name: str) -> Usage:
    with new_study() as study:
        given = ["--images", str(photographs.folder_of(N_MANY)), "--precision", FLOAT32]
        encoder = ["--encoder", photographs.spec_of(name), "--device", "cpu"]
        return command(tree, ["embed", str(study), *given, *encoder], ONE)


def crowded(_tree: Path) -> Iterator[Result]:
    """On two cores beside two programs that never rest, against alone on one core."""
    alone = analyzed(HERE, FLOAT32, [])
    busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in TWO]
    try:
        beside = analyzed(HERE, FLOAT32, [], TWO)
    finally:
        for program in busy:
            program.kill()
    yield ratio_of("two crowded cores / one core alone", beside, alone, CROWDED)


def command(tree: Path, words: list[str], cores: tuple[int, ...]) -> Usage:
    return measured([sys.executable, "-m", "core", *words], cores, cwd=tree, env={"PYTHONPATH": str(tree)})


@contextmanager
def new_study() -> Iterator[Path]:
    """Where a study can be made, which is removed afterwards."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=FOLDER.resolve())
    try:
        yield Path(folder) / "study"
    finally:
        shutil.rmtree(folder)


def ratio_of(title: str, after: Usage, before: Usage, goal: float) -> Result:
    detail = f"processor time {before.processor:.1f} → {after.processor:.1f} s"
    return Result(title, after.processor / before.processor, "x", goal, False, detail)


def last_line(error: Any) -> str:
    return str(error).strip().splitlines()[-1]

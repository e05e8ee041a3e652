"""How long recognising a file takes beside loading its weights, and what trials by labels cost of `embed`."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import save_file

from benchmarks.results import Result, in_own_process
from benchmarks.studies import FOLDER
from core.analysis.normalisation import likely_normalisation
from core.answers.outcome import Request
from core.bases.files import read_dictionary
from core.data.folder_masks import Masks, find_masks, set_apart
from core.data.folder_reading import choose_reading
from core.data.folder_sentence import levels_table, sentences
from core.data.folder_tables import label_file, lists_naming
from core.data.folder_walk import Walk, walk_folders
from core.data.unread_forms import bands_in_files
from core.encoders.encoder import Encoder
from core.encoders.registry import load_encoder
from core.encoders.safe_load import read_checkpoint
from core.encoders.transform import Transform
from core.measures.choice import TRIAL_IMAGES
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress

N_IMAGES = int(os.environ.get("PEREGRINE_BENCH_IMAGES", 8000))
IMAGES = f"glyphworld?train={N_IMAGES * 3 // 4}&val={N_IMAGES // 4}"
N_CLASSES, SIZE = 10, 64
N_FILES = int(os.environ.get("PEREGRINE_BENCH_FILES", 200_000))  # ImageNet has 1.28 million
REPEATS = 3
N_ROWS = int(os.environ.get("PEREGRINE_BENCH_ROWS", 10_000_000))  # of a table


def files(folder: Path) -> dict[str, Path]:
    """A file of each kind that is recognised in another way, tens to hundreds of MB each."""
    torch.manual_seed(0)
    resnet = torchvision.models.resnet50().state_dict()
    states = {
        "ResNet-50": resnet,
        "student and teacher in Lightning": {
            "state_dict": {
                f"{copy}.{key}": one for copy in ("student", "teacher") for key, one in resnet.items()
            }
        },
        "ViT-S/16 of timm": timm.create_model("vit_small_patch16_224").state_dict(),
    }
    made = {}
    for number, (name, state) in enumerate(states.items()):
        made[name] = folder / f"{number}.pth"
        torch.save(state, made[name])
    size, width = 16384, 768
    weights = {"W_enc": torch.randn(width, size), "W_dec": torch.randn(size, width)}
    weights |= {"b_enc": torch.zeros(size), "b_dec": torch.zeros(width)}
    (folder / "sae").mkdir(exist_ok=True)
    save_file(weights, folder / "sae" / "sae_weights.safetensors")
    settings = {"architecture": "standard", "d_in": width, "d_sae": size, "apply_b_dec_to_input": True}
    (folder / "sae" / "cfg.json").write_text(json.dumps(settings))
    made["dictionary of SAELens"] = folder / "sae" / "sae_weights.safetensors"
    return made


def fastest(work: Callable[[], Any]) -> float:
    """Processor seconds, which other work on the machine does not change."""
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def load_named(path: Path, make: Callable[[], torch.nn.Module]) -> None:
    """What is left to do where everything is known: tensors, network, and what an encoder measures of it."""
    with torch.device("meta"):  # no weights are drawn that the file replaces
        model = make()
    file = read_checkpoint(path)
    held = file.get("state_dict", file)
    prefix = "student." if "student.conv1.weight" in held else ""
    ours = {key.removeprefix(prefix): one for key, one in held.items() if key.startswith(prefix)}
    model.load_state_dict(ours, assign=True)
    Encoder(model, Transform(), arch="known")


MAKERS: dict[str, Callable[[], torch.nn.Module]] = {
    "ResNet-50": torchvision.models.resnet50,
    "student and teacher in Lightning": torchvision.models.resnet50,
    "ViT-S/16 of timm": partial(timm.create_model, "vit_small_patch16_224"),
}


def recognising(name: str, path: Path) -> tuple[float, float]:
    """Seconds to read a file as what it is, and to load it where everything is known."""
    if name not in MAKERS:
        return fastest(lambda: read_dictionary(path)), fastest(lambda: read_checkpoint(path))
    known = fastest(lambda: load_named(path, MAKERS[name]))
    return fastest(lambda: load_encoder(str(path))), known


def classifier(folder: Path) -> Path:
    """A small network with a classifier of glyphworld's number of classes, whose answers are guesses."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=N_CLASSES)
    torch.nn.init.normal_(model.fc.weight)
    torch.save(model.state_dict(), folder / "classifier.pth")
    return folder / "classifier.pth"


def trials(folder: Path) -> tuple[float, float, int]:
    """Seconds of `embed`, and of the search for a normalisation that labels favour; the number of images."""
    study_folder = folder / "reading"
    asked = {
        "images": IMAGES,
        "encoder": str(classifier(folder)),
        "device": "cpu",
        "input_size": SIZE,
        "resize": SIZE,
        "workers": 0,
    }
    shutil.rmtree(study_folder, ignore_errors=True)
    began = time.process_time()
    run_step("embed", study_folder, asked, Progress.silent())
    embed = time.process_time() - began
    study = open_study(study_folder)
    names = folder / "names.txt"
    labels = np.unique(study.images["label"].to_numpy(str))
    rest = [f"none {number}" for number in range(N_CLASSES)]
    names.write_text("\n".join([*labels, *rest][:N_CLASSES]))
    request = Request(head_classes=str(names), device="cpu")
    began = time.process_time()
    likely_normalisation(study, request, Progress.silent())
    return embed, time.process_time() - began, study.n_images


def long_tables(folder: Path, tree: Path) -> Iterator[Result]:
    """Memory and seconds of tables: of N_ROWS rows whose files are not there, and of the files of a tree."""
    for ending, rows in ((".csv", str(N_ROWS)), (".parquet", str(N_ROWS)), (".csv", tree.name)):
        measured = in_own_process("benchmarks.measure_table", str(folder), ending, rows)
        n_rows, n_bytes, seconds = measured["n_rows"], measured["bytes"], measured["seconds"]
        size = f"{n_rows:,} rows of {measured['file_bytes'] / 1e9:.2f} GB"
        detail = f"{n_bytes / 1e9:.2f} GB and {seconds:.0f} s, {size}"
        kind = f"{ending} of files that are there" if rows == tree.name else ending
        yield Result(f"{kind}, memory", n_bytes / n_rows, "B/row", 220, False, detail)
        yield Result(f"{kind}, seconds", seconds / n_rows * 1e6, "µs/row", 20, False, detail)


def tree_of_files(folder: Path) -> Path:
    """Make train/ and val/ of 1,000 classes with N_FILES empty files named like ImageNet's."""
    root = folder / f"tree-{N_FILES}"
    for split, n_files in (("train", N_FILES - N_FILES // 26), ("val", N_FILES // 26)):
        for number in range(1000):
            place = root / split / f"n{number:08d}"
            if not place.is_dir():
                place.mkdir(parents=True)
                for file in range(n_files // 1000):
                    (place / f"n{number:08d}_{file}.JPEG").touch()
    return root


def profiling(root: Path) -> tuple[float, float]:
    """Processor seconds to list a tree, and to decide how it is read."""
    where = str(root)
    listing = fastest(lambda: walk_folders(where, Walk()))
    tree = walk_folders(where, Walk())

    def profile() -> None:
        kept, masks = set_apart(tree, find_masks(where, tree))
        assert bands_in_files(where, kept) is None
        found = choose_reading(kept, Masks(), partial(label_file, where, kept))
        sentences(found, kept, masks, lists_naming(where, kept, found.reading.splits), root=where)
        levels_table(found, kept, masks)

    return listing, fastest(profile)


def run() -> Iterator[Result]:
    folder = FOLDER / "files"
    folder.mkdir(parents=True, exist_ok=True)
    tree = tree_of_files(folder)
    listing, profile = profiling(tree)
    detail = f"{N_FILES:,} files: listed in {listing:.2f} s, profiled in {profile:.2f} s, min of {REPEATS}"
    yield Result("list + profile a tree / list", (listing + profile) / listing, "x", 1.2, False, detail)
    yield from long_tables(folder, tree)
    for name, path in files(folder).items():
        whole, weights = recognising(name, path)
        detail = f"{name}: {whole:.2f} s, where all is known {weights:.2f} s, min of {REPEATS}"
        yield Result(f"recognise {name}"[:34], whole - weights, "s", 1.0, False, detail)
    embed, trial, n_images = trials(folder)
    detail = f"{trial:.1f} s of {embed:.1f} s, {n_images} images of {SIZE} px, at most {TRIAL_IMAGES} tried"
    yield Result("trials by labels / embed", trial / embed, "x", 0.05, False, detail)

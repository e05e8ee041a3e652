"""The studies that docs/api.md shows: ten pictures of dogs and cats, six features, every value known.

Written by hand through the real writer, since an encoder would take longer than the examples.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from core.analysis.definitions import discriminative_features, highly_activating, normalise_rows, tails
from core.analysis.iou import overlap_scores
from core.analysis.overlap_measuring import control_overlaps
from core.analysis.scores import confidence, energy, margin, q_score
from core.data.folder import FolderSource
from core.data.masks import KINDS, in_encoder_frame, open_masks
from core.encoders.transform import Transform
from core.measures.image_columns import CONTROLS, control_column
from core.measures.metrics import evaluate
from core.store import Study, open_study
from core.study.stored_heatmaps import pack_maps
from core.study.writer import StepWriter, write_study

EPSILON = 1.0
SIDE = 8  # of a stored map
NAMES = [f"{split}/{label}/{n}.png" for split, ns in (("train", (0, 1, 2)), ("val", (3, 4))) for label in
         ("cat", "dog") for n in ns]  # fmt: skip
LABELS = [name.split("/")[1] for name in NAMES]
SPLITS = [name.split("/")[0] for name in NAMES]
WEIGHTS = np.array([[-1, 1, 0, 0, 0, 0], [1, -1, 0, 0, 0, 0]], np.float32)  # of the probe: cat, dog


def raw_representations(shift: float = 0.0) -> np.ndarray:
    """(10, 6): feature 0 is of dogs, 1 of cats, 2 of both, 3 is dead. One val cat looks like a dog."""
    dog, cat = np.array([5, 0.5, 2, 0, 0.5, 0.2]), np.array([0.5, 5, 2, 0, 0.2, 0.5])
    raw = np.array([dog if label == "dog" else cat for label in LABELS])
    raw[NAMES.index("val/cat/4.png")] = [3, 2.5 + shift, 3, 0, 1, 0.5]
    return (raw * np.linspace(1, 1.9, len(raw))[:, None]).astype(np.float32)


def write_documented_studies(folder: Path) -> None:
    """Write photos/, masks/, studies/pets and studies/pets-finetuned below `folder`."""
    draw_pictures(folder)
    write_one(folder / "studies" / "pets", folder / "photos", raw_representations())
    write_one(folder / "studies" / "pets-finetuned", folder / "photos", raw_representations(shift=1.0))


def draw_pictures(folder: Path) -> None:
    """64 x 48 pixels: a disc (the core mask) left of a square (the spurious mask)."""
    for number, name in enumerate(NAMES):
        parts = {"photos": Image.new("RGB", (64, 48), (230, 230, 220))}
        parts |= {f"masks/{kind}": Image.new("L", (64, 48)) for kind in ("core", "spurious")}
        disc, square = (10, 12 + number % 3, 34, 36 + number % 3), (44, 14, 58, 28)
        ImageDraw.Draw(parts["photos"]).ellipse(disc, fill=(200, 80, 40))
        ImageDraw.Draw(parts["photos"]).rectangle(square, fill=(40, 90, 200))
        ImageDraw.Draw(parts["masks/core"]).ellipse(disc, fill=255)
        ImageDraw.Draw(parts["masks/spurious"]).rectangle(square, fill=255)
        for part, picture in parts.items():
            path = folder / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)


def write_one(path: Path, photos: Path, raw: np.ndarray) -> None:
    h = normalise_rows(raw)
    train = np.array(SPLITS) == "train"
    firing = highly_activating(h, epsilon=EPSILON)
    rate = 100.0 * firing[train].double().mean(0)
    chosen = discriminative_features(rate)
    with write_study(path) as writer:
        with writer.step("embed", {"images": str(photos), "encoder": "timm:resnet18"}) as step:
            step.table("images", images())
            step.table("skipped", pd.DataFrame({"path": ["broken.jpg"], "reason": ["truncated"]}))
            step.vector("representations", raw)
            write_thumbnails(step, photos)
            encoder = {"spec": "timm:resnet18", "n_features": raw.shape[1], "nonnegative": True}
            encoder |= {"pools_globally": True, "layer": "layer4.1", "family": "cnn", "fingerprint": "0"}
            encoder |= {"transform": Transform(resize=48, input_size=48).to_dict()}
            source = FolderSource(photos, 0).describe()
            step.summary = {"n_images": len(raw), "source": source, "encoder": encoder}
        with writer.step("features", {"epsilon": EPSILON}, ("representations", "images")) as step:
            write_features(step, h.numpy(), firing.numpy(), rate.numpy(), chosen.numpy())
        with writer.step("neighbours", {"k": 2}, ("representations", "images")) as step:
            step.vector("neighbours", np.tile(np.array([[0, 1]], np.int32), (4, 1)))
            step.vector("neighbour_similarity", np.full((4, 2), 0.9, np.float32))
        with writer.step("probe", {"seed": 0}, ("representations", "images")) as step:
            probe = write_probe(step, raw)
        with writer.step("quality", {}, ("representations", "features", "probe")) as step:
            write_quality(step, raw, firing.numpy(), chosen.numpy(), probe)
        with writer.step("heatmaps", {"top": 0}, ("representations", "features")) as step:
            write_heatmaps(step)
        with writer.step("overlap", {"threshold": 0.5}, ("images", "heatmap_maps")) as step:
            write_overlap(step, open_study(path), photos.parent / "masks")


def images() -> pd.DataFrame:
    return pd.DataFrame({"image_id": NAMES, "path": NAMES, "split": SPLITS, "label": LABELS}).astype("str")


def write_thumbnails(step: StepWriter, photos: Path) -> None:
    files = [io.BytesIO() for _ in NAMES]
    for name, file in zip(NAMES, files, strict=True):
        Image.open(photos / name).resize((32, 24)).save(file, "JPEG")
    step.vector("thumbnails", np.frombuffer(b"".join(file.getvalue() for file in files), np.uint8))
    step.vector("thumbnail_sizes", np.array([len(file.getvalue()) for file in files], np.int32))


def write_features(
    step: StepWriter, h: np.ndarray, firing: np.ndarray, rate: np.ndarray, chosen: np.ndarray
) -> None:
    rows, features = np.nonzero(firing)
    step.vector("firing_count", firing.sum(1).astype(np.int32))
    step.vector("firing_features", features.astype(np.int32))
    step.vector("firing_excess", (h - h.mean(1, keepdims=True))[firing].astype(np.float32))
    order = np.argsort(features, kind="stable")
    step.vector("firing_by_feature_ptr", np.cumsum([0, *firing.sum(0)]).astype(np.int64))
    step.vector("firing_by_feature_rows", rows[order].astype(np.int32))
    on_train = h[np.array(SPLITS) == "train"]
    table = {"feature": range(h.shape[1]), "mean": on_train.mean(0), "std": on_train.std(0)}
    table["activation_rate"] = rate
    table |= {"tail": tails(rate), "discriminative": chosen, "top_class": None, "purity": np.nan}
    step.table("features", pd.DataFrame(table).astype({"tail": "str", "top_class": "str"}))
    step.summary = {"epsilon": EPSILON, "n_discriminative": int(chosen.sum())}


def write_probe(step: StepWriter, raw: np.ndarray) -> pd.DataFrame:
    logits = raw.astype(np.float64) @ WEIGHTS.T
    predicted = np.array(["cat", "dog"])[logits.argmax(1)]
    scores = {"confidence": confidence(logits), "margin": margin(logits), "energy": energy(logits)}
    table = pd.DataFrame({"image_id": NAMES, "split": SPLITS, "true": LABELS, "predicted": predicted})
    table = table.astype("str").assign(**{name: values.numpy() for name, values in scores.items()})
    table = table.assign(correct=predicted == LABELS, top5_correct=True)
    step.table("probe", table)
    step.vector("probe_weights", WEIGHTS)
    step.vector("probe_bias", np.zeros(2, np.float32))
    val = table["split"] == "val"
    step.summary = {"top1": float(table.loc[val, "correct"].to_numpy(float).mean())}
    return table


def write_quality(
    step: StepWriter, raw: np.ndarray, firing: np.ndarray, chosen: np.ndarray, probe: pd.DataFrame
) -> None:
    h = normalise_rows(raw)
    table = pd.DataFrame({"image_id": NAMES, "split": SPLITS}).astype("str")
    table["q_score"] = q_score(h, chosen, epsilon=EPSILON).numpy()
    table["n_firing"], table["n_firing_discriminative"] = firing.sum(1), (firing & chosen).sum(1)
    table["norm"], table["max_activation"] = np.linalg.norm(raw, axis=1), h.numpy().max(1)
    table["q_all_features"], table["hoyer"] = (
        q_score(h, np.ones(h.shape[1], bool), epsilon=EPSILON).numpy(),
        0.5,
    )
    table["knn_similarity"] = np.where(table["split"] == "val", 0.9, np.nan)
    for name in ("predicted", "confidence", "margin", "energy", "correct"):
        table[name] = probe[name]
    step.table("quality", table)
    val = (table["split"] == "val").to_numpy()
    correct = table.loc[val, "correct"].to_numpy(float)
    step.table("quality_metrics", evaluate(table.loc[val, ["q_score", "norm"]], correct, resamples=20))
    step.summary = {"premise": "untested", "premise_sentence": "Ten images are too few to tell."}


def write_heatmaps(step: StepWriter) -> None:
    """Maps of features 0 and 1 on the val images: 0 looks at the disc, 1 at the square."""
    maps = np.zeros((2, SIDE, SIDE), np.float32)
    maps[0, 2:6, 0:4], maps[1, 2:5, 6:8] = 1.0, 0.5
    rows = np.flatnonzero(np.array(SPLITS) == "val").astype(np.int32)
    packed = pack_maps(np.array([0, 1], np.int32), maps)
    step.vector("heatmap_rows", rows)
    step.vector("heatmap_count", np.full(len(rows), 2, np.int32))
    step.vector("heatmap_fallback", np.zeros(len(rows), bool))
    for name, part in packed._asdict().items():
        step.vector(f"heatmap_{name}", np.concatenate([part] * len(rows)))


def write_overlap(step: StepWriter, study: Study, folder: Path) -> None:
    """The overlaps of the val images' discriminative heatmaps with both masks."""
    masks = open_masks(masks=str(folder), source=study.source)
    assert masks is not None
    rows, parts = np.flatnonzero(study.is_val), []
    heat = np.stack([study.heatmap(int(row)) for row in rows])
    for kind in KINDS:
        read = [
            in_encoder_frame(masks.read(NAMES[row], kind), "image", study.transform, (64, 48)) for row in rows
        ]
        part = study.images.iloc[rows][["image_id", "split", "label"]].assign(
            mask=kind, row=rows.astype(np.int32)
        )
        correct = study.table("probe", ["correct"])["correct"].to_numpy()[rows]
        read = np.stack(read)
        native = study.array("heatmap_maps").shape[1:]
        scale = control_overlaps(read[:, None], native=native, rows=rows, seed=0, threshold=0.5)[:, 0]
        part = part.assign(**overlap_scores(heat, read), correct=correct, fallback=False, note="")
        part = part.assign(**dict(zip(map(control_column, CONTROLS), scale.T, strict=True)))
        parts.append(part.assign(mask_area=read.mean((1, 2))))
    step.table("overlap", pd.concat(parts, ignore_index=True))
    step.summary = {"masks": masks.describe(), "threshold": 0.5}

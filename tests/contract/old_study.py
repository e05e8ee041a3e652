"""A study as version 0.3 laid it out, with all that left with 0.4.0, written without the code that left.

What it holds is what `tests/contract/make_old_study.py` made with commit 00466863: the same items, columns,
types, settings and files. `python -m tests.contract.old_study OLD` compares it with such a study (with
PEREGRINE_TRUST_STUDIES=1), and prints what differs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from core.pipeline.run import run_step
from core.store import open_study
from core.study.layers import layer
from core.study.manifest import input_digests
from core.study.progress import Progress
from core.study.seals import sealed_json
from core.study.writer import StepWriter, write_study
from tests.concepts.worded import make_worded
from tests.manifests import edited_manifest
from tests.synthetic import make_seen_study
from tests.tables import column, rows_where

OWN, SHARED = "own", "shared"  # bases: of the study's encoder, and of two
SIZE, K, OTHER_WIDTH = 16, 4, 6  # latents, active on an image; features of the second encoder
BASIS = {
    "kind": "topk",
    "size": SIZE,
    "k": K,
    "on": "pooled",
    "normalisation": None,
    "pool_codes": "max",
    "seeds": 2,
    "steps": 20,
}
OF_BOTH = ("share", "told_by_first", "told_by_other")
ALTERATIONS = (
    *("none", "object blurred", "object removed", "object swapped", "background blurred"),
    *("background removed", "background swapped", "control blurred", "control removed"),
)
MASK_STEP = "mask-interventions"
TWINS = 8
OLD_SCORES = ("combined", "kpca_error")  # columns that are read, and no longer computed
TOKENS, SWAPS = "visual_tokens", "visual_tokens/swaps.parquet"
LEFT_ITEMS = (
    *("word_twins", "mask_responses", "mask_contrasts", "mask_groups", "mask_agreement", "mask_accuracy"),
    *(f"basis_{SHARED}_other_{part}" for part in ("decoder", "encoder", "offset", "pre_bias")),
)


def make_both(folder: Path) -> None:
    """Make `old/study`, with all that left, and `base/study`, the same one without it."""
    base = make_base(folder / "base" / "study")
    (folder / "old").mkdir()
    add_what_left(shutil.copytree(base, folder / "old" / "study"))


def make_base(folder: Path) -> Path:
    """Make what stays of the old study: with words, two bases and the two scores that were computed."""
    make_worded(make_seen_study(folder))
    write_old_scores(folder)
    for seed, name in enumerate((OWN, SHARED)):
        write_basis(folder, name, seed)
        for step, options in (("features", {"epsilon": 1.0}), ("quality", {"bootstrap": 10})):
            run_step(step, layer(folder, name), options, Progress.silent())
    return folder


def write_old_scores(folder: Path) -> None:
    """Put columns and rows of OLD_SCORES, and weights, into the results of `neighbours` and `quality`."""
    names = ("principal_scores", "quality", "quality_metrics", "quality_curves")
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}
    by_image = tables["quality"]
    known = np.random.default_rng(1).random(len(by_image))
    on_val = np.where(by_image["split"] == "val", -known, np.nan)
    for name in ("principal_scores", "quality"):
        tables[name] = tables[name].drop(columns=[*OLD_SCORES], errors="ignore")
        after = list(tables[name].columns).index("whitened_norm") + 1
        tables[name].insert(after, "kpca_error", on_val)
    tables["quality"]["combined"] = known
    for name in ("quality_metrics", "quality_curves"):
        tables[name] = with_rows_of_old_scores(tables[name])
    put_tables(folder, tables)
    with edited_manifest(folder) as manifest:
        weights = {"train": {"norm": 1.0}, "val": {"norm": 1.0}}
        manifest["steps"]["quality"]["summary"]["combined_weights"] = weights


def with_rows_of_old_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """A table by score in which OLD_SCORES have rows: those of the Q-Score."""
    others = rows_where(frame, ~frame["score"].isin(OLD_SCORES))
    of_q = rows_where(frame, frame["score"] == "q_score")
    return pd.concat([others, *(of_q.assign(score=score) for score in OLD_SCORES)], ignore_index=True)


def write_basis(folder: Path, name: str, seed: int) -> None:
    """Write a basis of the study: a dictionary that is drawn, and the codes of all images."""
    study, rng = open_study(folder), np.random.default_rng(seed)
    raw = study.vector("representations").astype(np.float32)
    directions = np.abs(rng.normal(size=(SIZE, raw.shape[1]))).astype(np.float32)
    codes = raw @ directions.T
    active = np.sort(np.argsort(-codes, axis=1)[:, :K], axis=1)
    zeros = {part: np.zeros(raw.shape[1], np.float32) for part in ("offset", "pre_bias")}
    arrays = {
        "count": np.full(len(raw), K, np.int32),
        "features": active.reshape(-1).astype(np.int32),
        "values": np.take_along_axis(codes, active, 1).reshape(-1).astype(np.float32),
        "decoder": directions,
        "encoder": directions,
        "bias": np.zeros(SIZE, np.float32),
        **zeros,
    }
    with (
        write_study(folder) as writer,
        writer.step(f"basis-{name}", BASIS, ("images", "representations")) as step,
    ):
        for part, values in arrays.items():
            step.vector(f"basis_{name}_{part}", values)
        step.table(f"basis_{name}", latents(rng))
        step.summary = {"basis": card(name, len(raw), int((~study.is_val).sum()))}


def latents(rng: np.random.Generator) -> pd.DataFrame:
    """The table of a basis."""
    numbers = {column: rng.random(SIZE) for column in ("l0", "r2", "stability")}
    frame = pd.DataFrame({"latent": np.arange(SIZE), **numbers, "dead": np.zeros(SIZE, bool)})
    return frame.assign(mean=rng.random(SIZE), max=1.0 + rng.random(SIZE))


def card(name: str, n: int, n_train: int) -> dict[str, Any]:
    """What the summary of the step says of a basis."""
    numbers = {"dead": 0.0, "l0": float(K), "r2": 0.86, "r2_val": 0.83, "scale": 5.7, "stability": 0.62}
    counts = {"batch": n_train, "k": K, "n_train": n_train, "n_vectors": n, "prefixes": [SIZE], "seeds": 2}
    texts = {"activation": "topk", "kind": "topk", "name": name, "normalisation": "none", "on": "pooled"}
    of_encoder = {"encoder": "0" * 64, "encoder_name": "hues", "layer": "hues", "readout": "average pooling"}
    open_ends = {"notes": [], "token_norm": None, "tokens": None}
    return {**numbers, **counts, **texts, **of_encoder, **open_ends, "size": SIZE, "steps": 20}


def add_what_left(folder: Path) -> Path:
    """Add to a study of `make_base` what 0.4.0 no longer makes or shows."""
    add_word_twins(folder)
    add_mask_interventions(folder)
    add_second_encoder(folder)
    add_tokens(folder)
    return folder


def add_word_twins(folder: Path) -> None:
    """Add what `concepts --twins` made."""
    concepts = pd.read_parquet(folder / "concepts.parquet")
    kept = concepts.loc[concepts["kept"], ["group", "word"]].reset_index(drop=True)
    names = (
        "effect",
        "effect_low",
        "effect_high",
        "twin_auc",
        "twin_auc_low",
        "twin_auc_high",
        "selectivity",
    )
    frame = kept.assign(n_pairs=np.int32(TWINS), **dict.fromkeys(names, 0.5))
    put_tables(folder, {"word_twins": frame}, step="concepts")
    with edited_manifest(folder) as manifest:
        step = manifest["steps"]["concepts"]
        step["settings"]["twins"] = TWINS
        of_twins = dict.fromkeys(("share_above", "effect", "twin_auc", "selectivity"), 0.5)
        step["summary"]["word_twins"] = {"n_words": len(frame), "n_tested": len(frame), **of_twins}


def add_mask_interventions(folder: Path) -> None:
    """Add what `mask-interventions` made; no feature was called core or spurious, so its groups are none."""
    inputs = ("features", "firing_features", "overlap_by_feature", "probe_weights", "raw_moments")
    outside = {"masks": "0" * 64}
    summary = {"control_overlap": 0.5, "donors_of_other_class": True, "mean_area": 0.2, "split": "val"}
    summary |= dict.fromkeys(("n_core", "n_spurious", "n_unreadable", "n_unusable_masks"), 0)
    summary |= {"n_images": 8, "n_masked": 40, "notes": []}
    for called in ("core", "spurious"):
        summary |= dict.fromkeys(
            (f"{called}_agree", f"{called}_agree_beyond_control", f"{called}_agree_per_area"), None
        )
    settings = {"bootstrap": 20, "sample": 8, "seed": 0}
    with write_study(folder) as writer, writer.step(MASK_STEP, settings, inputs, outside) as step:
        for name, frame in mask_tables().items():
            step.table(name, frame)
        step.summary = summary
    with edited_manifest(folder) as manifest:
        manifest["steps"][MASK_STEP]["inputs"]["@formulas"] = "1"


def mask_tables() -> dict[str, pd.DataFrame]:
    """The tables of mask interventions, of two features."""
    several = ("change", "low", "high", "kept")
    responses = pd.DataFrame(
        [(j, name) for j in (0, 1) for name in ALTERATIONS], columns=["feature", "alteration"]
    )
    responses = responses.astype({"feature": np.int32}).assign(n=8, **dict.fromkeys(several, 0.5))
    contrast = ("difference", "control", "excess", "per_area")
    contrasts = pd.DataFrame({"feature": np.arange(2, dtype=np.int32), "called": "", "discriminative": True})
    contrasts = contrasts.assign(
        n=8, **dict.fromkeys((one for name in contrast for one in _bounded(name)), 0.5)
    )
    texts = pd.DataFrame({"called": ["core"], "measure": ["difference"]})
    agreement = texts.assign(n_features=0, agree=0.5, low=0.5, high=0.5, clearly=0.0, against=0.0)
    groups = pd.DataFrame({column: [] for column in ("n_features", "change", "low", "high")}, dtype=object)
    groups = pd.concat([texts.head(0), groups], axis=1)
    accuracy = pd.DataFrame({"alteration": ALTERATIONS, "n": 8})
    measured = ("accuracy", "low", "high", *_bounded("change"), "same")
    return {
        "mask_responses": responses,
        "mask_contrasts": contrasts.assign(responds_to=""),
        "mask_groups": groups,
        "mask_agreement": agreement,
        "mask_accuracy": accuracy.assign(**dict.fromkeys(measured, 0.5)),
    }


def _bounded(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def add_second_encoder(folder: Path) -> None:
    """Make one of a study's bases one of two encoders, as `basis --with` wrote it."""
    rng = np.random.default_rng(2)
    table = pd.read_parquet(folder / f"basis_{SHARED}.parquet")
    put_tables(folder, {f"basis_{SHARED}": table.assign(**{column: rng.random(SIZE) for column in OF_BOTH})})
    step, writer = f"basis-{SHARED}", StepWriter(folder, "")
    for part in ("decoder", "encoder"):
        writer.vector(f"basis_{SHARED}_other_{part}", rng.random((SIZE, OTHER_WIDTH)).astype(np.float32))
    for part in ("offset", "pre_bias"):
        writer.vector(f"basis_{SHARED}_other_{part}", np.zeros(OTHER_WIDTH, np.float32))
    with edited_manifest(folder) as manifest:
        _enter(manifest, writer, step)
        entry, mark = manifest["steps"][step], "9b19c10e8ebff5cc"
        entry["settings"]["with"] = mark
        other = {"encoder_name": "other", "study": "other", "mark": mark, "width": OTHER_WIDTH}
        entry["summary"]["basis"]["with"] = {**other, "n_fitted": 64, "r2": [0.8, 0.7]}


def add_tokens(folder: Path) -> None:
    """Add what `compositionality --study` showed of the images: graphs, attention, exchanged words."""
    tokens = folder / TOKENS
    tokens.mkdir()
    for name, frame in token_tables(column(open_study(folder).images, "image_id")).items():
        frame.to_parquet(tokens / f"{name}.parquet", index=False, write_page_checksum=True)
    weights = {"model": "tokens.safetensors", "weights": [float(rank) for rank in range(1, 9)]}
    (tokens / "weights.json").write_bytes(sealed_json(weights))


def token_tables(ids: pd.Series) -> dict[str, pd.DataFrame]:
    """The tables of two objects an image, one above the other."""
    objects = pd.DataFrame({"image_id": np.repeat(ids, 2)}).reset_index(drop=True)
    objects = objects.assign(object=np.tile([0, 1], len(ids)), score=1.0, left=1.0)
    objects = objects.assign(top=2.0, right=30.0, bottom=40.0, name=np.tile(["a disc", "a square"], len(ids)))
    relations = pd.DataFrame({"image_id": ids, "subject": 0, "object": 1, "predicate": "above", "score": 1.0})
    attention = pd.DataFrame({"image_id": ids, "token": 0, "kind": "image", "name": "image", "weight": 0.5})
    captions = {"caption": "a disc above a square", "other": "a square above a disc"}
    swaps = pd.DataFrame({"image_id": ids, "test": "glyphworld relation", "model": "tokens", **captions})
    swaps = swaps.assign(right=1.0, margin=0.5)
    return {"objects": objects, "relations": relations, "attention": attention, "swaps": swaps}


def put_tables(folder: Path, tables: Mapping[str, pd.DataFrame], *, step: str = "") -> None:
    """Write tables in place of those of that name, or as further ones of a step; all steps stay current."""
    writer = StepWriter(folder, "")
    for name, frame in tables.items():
        writer.table(name, frame)
    with edited_manifest(folder) as manifest:
        _enter(manifest, writer, step)
        for entry in manifest["steps"].values():
            own = tuple(name for name in entry["inputs"] if not name.startswith("@"))
            entry["inputs"] |= input_digests(manifest, own)


def _enter(manifest: dict[str, Any], writer: StepWriter, step: str) -> None:
    for name, item in writer.items.items():
        home = manifest["items"].get(name, {}).get("step") or step
        manifest["items"][name] = {**item, "step": home}
        outputs = manifest["steps"][home]["outputs"]
        outputs[:] = sorted({*outputs, name})


def layout(folder: Path) -> dict[str, Any]:
    """What the items that left are like, and the settings and cards that name them; without sizes."""
    manifest = open_study(folder).manifest
    found: dict[str, Any] = {}
    for name in (*LEFT_ITEMS, f"basis_{SHARED}", "principal_scores", "quality"):
        item = manifest["items"][name]
        shape = item["shape"][1:] if item["kind"] == "table" else len(item["shape"])
        found[name] = {key: item.get(key) for key in ("kind", "step", "columns", "types", "dtype")}
        found[name]["shape"] = shape
    for step in (MASK_STEP, f"basis-{OWN}", f"basis-{SHARED}"):
        entry = manifest["steps"][step]
        found[step] = {"inputs": sorted(entry["inputs"]), "settings": sorted(entry["settings"])}
        found[step]["summary"] = {name: _kind(value) for name, value in entry["summary"].items()}
    found["twins"] = type(open_study(folder).settings("concepts").get("twins"))
    found["word_twins of the summary"] = _kind(open_study(folder).summary("concepts").get("word_twins"))
    for path in sorted((folder / TOKENS).glob("*.parquet")):
        schema = pq.read_schema(path)
        found[f"{TOKENS}/{path.name}"] = dict(zip(schema.names, map(str, schema.types), strict=True))
    found["bases"] = sorted(path.name for path in (folder / "bases").iterdir())
    return found


def _kind(value: Any) -> Any:
    return (
        {name: _kind(one) for name, one in sorted(value.items())} if isinstance(value, dict) else type(value)
    )


def differences(found: Any, expected: Any, where: str = "") -> Iterator[str]:
    """Name where two layouts differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in sorted({*found, *expected}):
            yield from differences(found.get(name), expected.get(name), f"{where}/{name}")
    elif found != expected:
        yield f"{where}: {found} here, {expected} there"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        here = layout(add_what_left(make_base(Path(made) / "old")))
    print("\n".join(differences(here, layout(Path(sys.argv[1])))) or "equal")

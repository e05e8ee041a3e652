"""What a study holds (`info`), whether its files are what the manifest says (`verify`), and which of them
cannot be read at all (`find_damage`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from core.arrays import chunk_name, file_sha256
from core.manifest import STEPS
from core.store import Study, open_study

HEADER_STEP = 64  # bytes: numpy fills the head of a file up to a multiple of it


def info(study: Study) -> dict[str, Any]:
    """Headline numbers, settings, size and what is missing, as a JSON-able dict.

    Numbers that a step has not produced are None.
    """
    embed, features, probe, quality = (
        study.summary(step) for step in ("embed", "features", "probe", "quality")
    )
    encoder = embed.get("encoder", {})
    return {
        "name": study.name,
        "path": str(study.path),
        "images": study.settings("embed").get("images"),
        "encoder": encoder.get("spec"),
        "encoder_name": study.encoder_name or None,
        "layer": encoder.get("layer"),
        "epsilon": features.get("epsilon"),
        "k": study.summary("concepts").get("k"),
        "n_images": embed.get("n_images", 0),
        "n_train": embed.get("n_train"),
        "n_val": embed.get("n_val"),
        "n_classes": embed.get("n_classes"),
        "n_skipped": embed.get("n_skipped", 0),
        "n_features": encoder.get("n_features"),
        "n_discriminative": features.get("n_discriminative"),
        "mean_firing": features.get("mean_firing"),
        "accuracy": probe.get("top1"),
        "top5": probe.get("top5"),
        "q_auroc": quality.get("q_auroc"),
        "q_auroc_interval": quality.get("q_auroc_interval"),
        "q_auprc": quality.get("q_auprc"),
        "q_auprc_interval": quality.get("q_auprc_interval"),
        "base_rate": quality.get("base_rate"),
        "premise": quality.get("premise_sentence"),
        "miou_core": study.summary("overlap").get("miou_core"),
        "miou_spurious": study.summary("overlap").get("miou_spurious"),
        "checkpoint": encoder.get("report"),
        "assumptions": encoder.get("assumptions", []),
        "notes": embed.get("notes", []),
        "steps": {step: study.state(step) for step in STEPS},
        "settings": {step: study.settings(step) for step in STEPS if study.settings(step)},
        "skipped_steps": {
            step: study.summary(step)["skipped"] for step in STEPS if study.summary(step).get("skipped")
        },
        "missing": study.missing(),
        "bytes": sum(path.stat().st_size for path in study.path.rglob("*") if path.is_file()),
    }


@dataclass(frozen=True)
class Problem:
    """One file that is not what the manifest says."""

    file: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}. {self.remedy}"


def verify(study: Study | str | Path) -> list[Problem]:
    """Compare every chunk and table with its checksum; an empty list means that all is well."""
    study = study if isinstance(study, Study) else open_study(study)
    return list(_problems(study))


def _problems(study: Study) -> Iterator[Problem]:
    for name, item in sorted(study.manifest["items"].items()):
        remedy = f"Run: python -m core {item['step']} {study.path} --redo"
        for relative, checksum in _files(name, item):
            path = study.path / relative
            if not path.exists():
                yield Problem(relative, "is gone", remedy)
            elif file_sha256(path) != checksum:
                yield Problem(relative, "has other contents than were written (checksum differs)", remedy)


def _files(name: str, item: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if item["kind"] == "table":
        yield f"{name}.parquet", item["sha256"]
        return
    for number, chunk in enumerate(item["chunks"]):
        yield f"{name}/{chunk_name(number)}", chunk["sha256"]


def find_damage(study: Study) -> dict[str, str]:
    """Tables and arrays that are gone, cut short or no longer tables, by name, each with what is wrong.

    Only the size of every file and the end of every table are looked at, which takes milliseconds: contents
    that changed are found by `verify` alone.
    """
    looks = {"table": _table_damage, "array": _array_damage}
    found = {
        name: looks[item["kind"]](study.path, name, item)
        for name, item in sorted(study.manifest["items"].items())
        if study.has(name)
    }
    return {name: what for name, what in found.items() if what}


def _table_damage(folder: Path, name: str, item: dict[str, Any]) -> str | None:
    file, expected = f"{name}.parquet", item["shape"][0]
    try:
        n_rows = pq.read_metadata(folder / file).num_rows
    except FileNotFoundError:
        return f"{file} is gone"
    except (OSError, ValueError):
        return f"{file} cannot be read"
    return None if n_rows == expected else f"{file} has {n_rows:,} rows instead of {expected:,}"


def _array_damage(folder: Path, name: str, item: dict[str, Any]) -> str | None:
    row_bytes = int(np.prod(item["shape"][1:], dtype=np.int64)) * np.dtype(item["dtype"]).itemsize
    for number, chunk in enumerate(item["chunks"]):
        file = f"{name}/{chunk_name(number)}"
        try:
            size = (folder / file).stat().st_size
        except FileNotFoundError:
            return f"{file} is gone"
        except OSError:
            return f"{file} cannot be read"
        header = size - chunk["rows"] * row_bytes
        if header <= 0 or header % HEADER_STEP:
            return f"{file} is cut short"
    return None

"""What a study holds (`info`) and whether its files are what the manifest says (`verify`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.arrays import chunk_name, file_sha256
from core.feature_notes import notes_on_features
from core.manifest import STEPS
from core.store import Study, open_study


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
        "feature_notes": notes_on_features(study),
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

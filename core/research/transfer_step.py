"""`transfer SOURCE TARGET`: transfer concepts between two studies over the same images, and check them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis.definitions import normalise_rows
from core.concepts.failures import SEPARATOR, check_has_concepts, words_of_features
from core.errors import SettingsError, StudyError
from core.research import transfer
from core.research.transfer_compared_words import METHODS, carries_words
from core.research.transfer_topic import TransferConfig
from core.store import Study
from core.study import manifest as manifests
from core.study.progress import Progress
from core.study.writer import StepWriter

MOST_ROWS = 200_000  # images used to fit Z: its r^2 numbers need no more
NO_DIRECT = "'{path}' has no concepts to check the transferred ones with"


def transfer_inputs(source: Study) -> dict[str, str]:
    """Return the identity of the source study of transferred concepts (research), for `outside` inputs."""
    items = source.manifest["items"]
    return {
        f"source_{name}": manifests.item_digest(items[name])
        for name in ("representations", "images", "concepts")
        if name in items
    }


def compute_transfer(
    source: Study,
    target: Study,
    step: StepWriter,
    config: TransferConfig,
    *,
    progress: Progress,
    device: str | torch.device = "cpu",
) -> None:
    """Write into the target study: table `transfer` (method, source_feature, target_feature, weight),
    `transfer_concepts` (method, feature, rank, word, score, source_features), `transfer_check` (method, and
    the columns of `transfer.Agreement`).

    Z is fitted on the train images (all images if there is no other split) and evaluated on the val images.

    Raises:
        StudyError: the studies use different images, or the source has no concepts.
        SettingsError: both are the same study.
    """
    if source.path.resolve() == target.path.resolve():
        raise SettingsError(f"'{source.path}' is both source and target; give two studies")
    places = check_same_images([target, source])
    check_has_concepts(source)
    fit_rows, judge_rows = _fit_and_judge(target)
    with progress.stage("transfer", total=3, unit="parts") as bar:
        x, y = (
            _h_rows(study, rows_of[fit_rows]) for study, rows_of in zip((target, source), places, strict=True)
        )
        maps = {"ridge": transfer.fit_ridge(x, y, penalty=config.penalty)}
        bar.update()
        device_name = str(device)
        maps["sgd"] = transfer.fit_sgd(
            x,
            y,
            lr=config.lr,
            batch_size=config.batch_size,
            epochs=config.epochs,
            seed=config.seed,
            device=device_name,
        )
        bar.update()
        x, y = (
            _h_rows(study, rows_of[judge_rows])
            for study, rows_of in zip((target, source), places, strict=True)
        )
        shares = _nan_to_none({name: transfer.explained_share(z, x, y) for name, z in maps.items()})
        summary = _write_transfer_tables(step, source, target, maps, shares, config)
        step.summary = summary | {
            "source": str(source.path),
            "source_name": source.name,
            "n_fit": len(fit_rows),
            "n_judge": len(judge_rows),
            "explained_share": shares,
        }
        bar.update()


def check_same_images(studies: Sequence[Study]) -> np.ndarray:
    """Locate each image of the first study in the others, to transfer concepts between them (research).

    Returns:
        (n_studies, n_images) int64 rows, in the order of the first study's images.
    Raises:
        StudyError: the studies use different images; the message says how many they share.
    """
    first = pd.Index(studies[0].images["image_id"])
    rows = [np.arange(len(first))]
    for other in studies[1:]:
        positions = other.image_index().get_indexer(first)
        n_shared = int((positions >= 0).sum())
        if n_shared < len(first) or len(other.images) != len(first):
            first_size, other_size = f"{len(first):,} images", f"{len(other.images):,}"
            raise StudyError(
                f"'{studies[0].path}' ({first_size}) and '{other.path}' ({other_size}) are over different "
                f"images: {n_shared:,} in common. Make both from the same --images"
            )
        rows.append(positions)
    return np.stack(rows)


def _fit_and_judge(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Return the images to fit the map of concepts to (research) and those to evaluate it on."""
    train, val = np.flatnonzero(~study.is_val), np.flatnonzero(study.is_val)
    if not len(train) or not len(val):
        train = val = np.arange(study.n_images)
    step = -(-len(train) // MOST_ROWS)
    return train[::step], val


def _h_rows(study: Study, rows: np.ndarray) -> np.ndarray:
    """Return normalised representations of a study to transfer concepts by (research), (n, r) float32."""
    return normalise_rows(study.array("representations").rows(rows).astype(np.float32)).numpy()


def _write_transfer_tables(
    step: StepWriter,
    source: Study,
    target: Study,
    maps: dict[str, np.ndarray],
    shares: dict[str, float | None],
    config: TransferConfig,
) -> dict[str, Any]:
    """Write the tables of both ways of fitting Z; return their summary. A map with an explained share below 0
    carries no words."""
    words = _split_joined_words(words_of_features(source.table("concepts")))
    direct = (
        _split_joined_words(words_of_features(target.table("concepts"))) if target.has("concepts") else {}
    )
    mappings, carried, checks, about = [], [], [], {}
    for method in METHODS:
        mapping = transfer.mapped_features(maps[method], n_std=config.n_std)
        taken = transfer.carried_words(mapping, words if carries_words(shares[method]) else {})
        by_feature: dict[int, list[str]] = {}
        for feature, word in zip(taken["feature"].tolist(), taken["word"].tolist(), strict=True):
            by_feature.setdefault(int(feature), []).append(word)
        check = transfer.agreement(by_feature, direct)
        mappings.append(mapping.assign(method=method))
        carried.append(taken.assign(method=method))
        checks.append(check.table.assign(method=method))
        scores = {name: getattr(check, name) for name in ("precision", "recall", "jaccard", "chance")}
        n_source = len(np.unique(mapping["source_feature"]))
        about[method] = {
            "explained_share": shares[method],
            "n_mapped": len(mapping),
            "n_source_features": n_source,
            "n_with_words": len(by_feature),
            "n_checked": len(check.table),
            **scores,
        }
    kinds = {"feature": "int32", "rank": "int32", "word": "str", "score": "float64", "source_features": "str"}
    step.table("transfer", pd.concat(mappings, ignore_index=True).astype({"method": "str"}))
    step.table("transfer_concepts", pd.concat(carried, ignore_index=True).astype(kinds | {"method": "str"}))
    step.table("transfer_check", pd.concat(checks, ignore_index=True).astype({"method": "str"}))
    note = None if direct else NO_DIRECT.format(path=target.path)
    return {
        **{name: _nan_to_none(values) for name, values in about.items()},
        "n_std": config.n_std,
        "note": note,
    }


def _split_joined_words(joined: dict[int, str]) -> dict[int, list[str]]:
    """Split the words of each feature, of which concepts are transferred (research), from one text."""
    return {feature: words.split(SEPARATOR) for feature, words in joined.items()}


def _nan_to_none(values: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN by None in a summary of transferred concepts (research), for JSON."""
    return {name: None if value != value else value for name, value in values.items()}

"""The command `search`: embed all images of a study with CLIP, once, and a text on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from core.analysis.representations import picture_batches
from core.concepts.crops import BATCH_IMAGES, OriginalReader
from core.concepts.tools import NO_PICTURES, clip_of, opened_clip
from core.config import ConceptsConfig, RunOptions
from core.errors import SettingsError, StudyError
from core.search import search
from core.slices.slice import Slice
from core.storage.chunked_array import CHUNK_ROWS
from core.storage.writer import StudyWriter, write_study
from core.store import open_study

if TYPE_CHECKING:
    from core.jobs.progress import Bar, Progress
    from core.storage.writer import StepWriter
    from core.store import Study

TOP = 24


def run_search(
    folder: str | Path, text: str | None, options: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Find images by a text.

    Args:
        text: None or "" only embeds the images, which makes later searches fast.
        options: `clip` (default: the one used for the study's concepts), `top`, `slice` (as text),
            and the fields of RunOptions.
    Returns:
        text, clip, n_images, n_missing, found: [{image_id, cosine}], nearest first.
    Raises:
        SettingsError: a text without letters. StudyError: no images. ClipError: CLIP cannot be loaded.
    """
    from core.common.device import resolve_device
    from core.steps import run_options

    text = search.tidy(text or "")
    if text and not search.plain_words(text):
        raise SettingsError(
            f"nothing to search for in '{text}': give a few words, as in 'a red ball on grass'"
        )
    study = open_study(folder)
    if not study.source.has_pictures:
        raise StudyError(f"'{folder}': {NO_PICTURES.replace('concepts need', 'a search by text needs')}")
    among = Slice.parse(options["slice"]).mask(study) if options.get("slice") else None
    run = run_options(options)
    clip = opened_clip(wanted_clip(study, options.get("clip")), str(resolve_device(run.device)))
    embed_images(Path(folder), clip, run, progress)
    study = open_study(folder)
    facts = study.summary(search.CLIP_IMAGES)
    report = {
        "text": text,
        "clip": facts["clip"],
        "n_images": study.n_images,
        "n_missing": facts["n_missing"],
    }
    if not text:
        return report | {"found": []}
    search.keep_text(study, text, clip.embed_texts([text])[0])
    found = search.by_text(study, text, int(options.get("top", TOP)), among=among)
    assert found is not None
    return report | {"found": search.hits(study, *found)}


def wanted_clip(study: Study, named: str | None) -> str:
    """Return the named CLIP, else the one that embedded the images or the concepts."""
    before = study.settings(search.CLIP_IMAGES).get("clip") if study.has(search.CLIP_IMAGES) else None
    return named or before or clip_of(study, ConceptsConfig(clip=study.settings("concepts").get("clip")))


def embed_images(folder: Path, clip: Any, run: RunOptions, progress: Progress) -> None:
    """Write the array `clip_images`, unless it already exists for this CLIP and these images."""
    settings, inputs, outside = {"clip": clip.name}, ("images",), {"clip": clip.fingerprint}
    if StudyWriter(folder).is_current(search.CLIP_IMAGES, settings, inputs, outside):
        return
    study = open_study(folder)
    with write_study(folder) as writer, writer.step(search.CLIP_IMAGES, settings, inputs, outside) as step:
        with progress.stage("embed images with CLIP", total=study.n_images, unit="images") as bar:
            gone = _write_chunks(study, step, clip, run, bar)
        step.summary = {
            "clip": clip.name,
            "clip_fingerprint": clip.fingerprint,
            "n_images": study.n_images,
            "n_missing": gone,
        }


def _write_chunks(study: Study, step: StepWriter, clip: Any, run: RunOptions, bar: Bar) -> int:
    """Embed chunk by chunk, resuming where an earlier run stopped; return the number of missing images."""
    array = step.array(search.CLIP_IMAGES)
    starts = range(0, study.n_images, CHUNK_ROWS)
    gone = 0
    for chunk, start in enumerate(starts):
        rows = range(start, min(start + CHUNK_ROWS, study.n_images))
        if array.has(chunk):
            bar.skip(len(rows))
        else:
            vectors = np.zeros((len(rows), clip.width), np.float16)
            for row, vector in _embedded(study, rows, clip, run, bar):
                vectors[row - start] = vector
            array.put(chunk, vectors, extra=int((~vectors.any(1)).sum()))
        gone += array.extra(chunk)
    step.finish_array(search.CLIP_IMAGES, len(starts))
    return gone


def _embedded(
    study: Study, rows: range, clip: Any, run: RunOptions, bar: Bar
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield pairs of a row and its vector; missing images are skipped."""
    from core.common.workers import default_workers

    ids = dict(zip(rows, study.images["image_id"].iloc[rows], strict=True))
    reader: Any = OriginalReader(study.source, ids, None)
    batches = [list(rows[at : at + BATCH_IMAGES]) for at in range(0, len(rows), BATCH_IMAGES)]
    stream: Any = picture_batches(reader, batches, workers=default_workers(run, len(rows)), pin=False)
    for batch in stream:
        here = list(batch.pictures)
        if here:
            yield from zip(
                here,
                clip.embed_images([Image.fromarray(batch.pictures[row].numpy()) for row in here]),
                strict=True,
            )
        bar.update(len(here) + len(batch.gone))

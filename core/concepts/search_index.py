"""The step `search`: embed every image of a study with CLIP, for searches by a text or a picture. [torch]"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from core.analysis.representations import picture_batches
from core.common.device import resolve_device
from core.common.processes import default_workers
from core.common.step_facts import GLYPHWORLD
from core.concepts.clip import clip_is_here
from core.concepts.clip_and_captions import SHIPPED, clip_here, clip_of, is_glyphworld, study_clip
from core.concepts.crops import OriginalReader
from core.concepts.photograph_clips import DEFAULT_CLIP, FETCH_CLIP
from core.concepts.search import CLIP_IMAGES
from core.concepts.whole_pictures import KeptVectors, kept_vectors
from core.config import ConceptsConfig, RunOptions, SearchConfig
from core.data.source import ImageSource
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.progress import Bar
from core.study.shared_arrays import SharedArrays
from core.study.writer import StepRun, StepWriter

BATCH_IMAGES = 32
NO_PICTURES = "the study was made without pictures; a search by text needs them"
NO_CLIP = f"no CLIP is named, and none of photographs is on this computer: {FETCH_CLIP} gets one"


def compute_index(study: Study, step: StepWriter, config: SearchConfig, run: StepRun) -> None:
    """Write the array `clip_images` (n_images, d) float16: CLIP of each whole image; zero where missing.

    A chunk holds `CHUNK_ROWS` images, so an interrupted run resumes with the missing chunks.

    Raises:
        ClipError: CLIP cannot be loaded.
    """
    if why := _why_no_index(study, config):
        step.summary = {"skipped": why} | ({"default_clip": DEFAULT_CLIP} if why == NO_CLIP else {})
        return
    clip = study_clip(study, chosen_clip(study, config), str(run.device))
    stored = kept_vectors(study, clip)
    if stored is not None:
        step.when_entered.append(stored.scratch.remove)
    with run.progress.stage("embed images with CLIP", total=study.n_images, unit="images") as bar:
        n_missing = _write_chunks(study, step, clip, stored, run, bar)
    step.summary = {
        "clip": clip.name,
        "clip_fingerprint": clip.fingerprint,
        "clip_precision": clip.image_precision,
        "n_images": study.n_images,
        "n_missing": n_missing,
    }


def _why_no_index(study: Study, config: SearchConfig) -> str | None:
    """Return why the images of a study are not embedded, or None."""
    if not study.source.has_pictures:
        return NO_PICTURES
    return NO_CLIP if _named(study, config) is None and clip_here() is None else None


def chosen_clip(study: Study, config: SearchConfig) -> str:
    """Return the CLIP for searches: the named one, else that of the study's concepts, else a usual one."""
    return _named(study, config) or clip_of(study, ConceptsConfig())


def _named(study: Study, config: SearchConfig) -> str | None:
    named = config.clip or study.settings("concepts").get("clip")
    return clip_of(study, ConceptsConfig(clip=named)) if named or is_glyphworld(study) else None


def clip_fingerprint(study: Study, config: SearchConfig, run: RunOptions) -> dict[str, str]:
    """Return the identity of the CLIP that searches use; {} where the step would be skipped."""
    if _why_no_index(study, config):
        return {}
    clip = study_clip(study, chosen_clip(study, config), str(resolve_device(run.device)))
    return {"clip": clip.picture_fingerprint}


def clip_in_pass(asked: Mapping[str, Mapping[str, Any]], source: ImageSource) -> str | None:
    """The CLIP of words and search that each whole image goes through as it is decoded, if it is here.

    None where an analysis that runs `concepts` and `search` was not asked for.

    Args:
        asked: settings by step, of the steps that are to be run.
    """
    if "search" not in asked or not source.has_pictures:
        return None
    named = asked["search"].get("clip") or asked.get("concepts", {}).get("clip")
    if not named:
        return f"{SHIPPED}{GLYPHWORLD}" if source.kind == GLYPHWORLD else clip_here()
    return named if clip_is_here(named) else None


def _write_chunks(
    study: Study, step: StepWriter, clip: Any, stored: KeptVectors | None, run: StepRun, bar: Bar
) -> int:
    """Embed chunk by chunk, resuming where an earlier run stopped; return the number of missing images.

    Each process does its share of the chunks, and only the first returns.

    Args:
        stored: what `embed` has made already.
    """
    starts = range(0, study.n_images, CHUNK_ROWS)
    rows_of = [range(start, min(start + CHUNK_ROWS, study.n_images)) for start in starts]
    arrays = SharedArrays(step, [CLIP_IMAGES], len(starts), mark=CLIP_IMAGES)
    done = [chunk for chunk in range(len(starts)) if arrays.has(chunk)]
    bar.skip(sum(len(rows_of[chunk]) for chunk in done))
    n_read = n_written = 0  # images, by this process
    for chunk in arrays.todo(done):
        rows = rows_of[chunk]
        vectors, lacking = _made_before(stored, rows, clip.width)
        n_read, n_written = n_read + len(lacking), n_written + len(rows)
        bar.update(len(rows) - len(lacking))
        for row, vector in _embedded(study, lacking, clip, run.options, bar):
            vectors[row - rows.start] = vector
        arrays.mark.put(chunk, vectors, extra=int((~vectors.any(1)).sum()))
    run.progress.note(f"search: CLIP on {n_read} of {n_written} images")
    gone = sum(arrays.collect())
    arrays.finish()
    return gone


def _made_before(stored: KeptVectors | None, rows: range, width: int) -> tuple[np.ndarray, list[int]]:
    """(n, width) float16 of rows, as far as `embed` has made them, and the other rows, which are zero."""
    vectors = np.zeros((len(rows), width), np.float16)
    if stored is None:
        return vectors, list(rows)
    taken = stored.take(np.array(rows))
    lacking = np.isnan(taken).any(1)
    vectors[~lacking] = taken[~lacking]
    return vectors, np.array(rows)[lacking].tolist()


def _embedded(
    study: Study, rows: list[int], clip: Any, run: RunOptions, bar: Bar
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield pairs of a row and its vector; missing images are skipped."""
    ids = dict(zip(rows, study.column("images", "image_id").iloc[rows], strict=True))
    reader: Any = OriginalReader(study.source, ids, None)
    batches = [rows[at : at + BATCH_IMAGES] for at in range(0, len(rows), BATCH_IMAGES)]
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

"""The command `search`: embed all images of a study with CLIP, once, and find those that match a text."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.common.device import resolve_device, run_options
from core.errors import SettingsError, StudyError
from core.jobs.progress import Progress
from core.pipeline.run import run_step
from core.search import search
from core.search.text_fit import GENERIC
from core.slices.slice import Slice
from core.storage.layers import below
from core.store import Study, open_study

TOP = 24


def run_search(
    folder: str | Path, text: str | None, options: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Find images by a text.

    Args:
        folder: of the study, or of a basis in which `slice` is read; the images are the same in every one.
        text: None or "" only embeds the images, which makes later searches fast.
        options: `clip` (default: see `core.search.index.chosen_clip`), `top`, `slice` (as text), `answer`
            (what says which images of it are correct), `redo`, and the fields of RunOptions.
    Returns:
        text, clip, n_images, n_missing, found: [{image_id, cosine}], nearest first.
    Raises:
        SettingsError: a text without letters. StudyError: no images. ClipError: CLIP cannot be loaded.
    """
    text = search.tidy(text or "")
    if text and not search.plain_words(text):
        raise SettingsError(
            f"nothing to search for in '{text}': give a few words, as in 'a red ball on grass'"
        )
    among = None
    if options.get("slice"):
        among = Slice.parse(options["slice"]).mask(open_study(folder, options.get("answer")))
    elif options.get("answer") or below(Path(folder)):
        option = "answer" if options.get("answer") else "basis"
        raise SettingsError(f"--{option} says how --slice is read; give a --slice, or leave it out")
    folder = below(Path(folder)) or folder
    summary = _embed_images(folder, options, progress)
    study = Study(folder)
    report = {"text": text, **{key: summary[key] for key in ("clip", "n_images", "n_missing")}}
    if not text:
        return report | {"found": []}
    texts = (text, *GENERIC)  # by these the dashboard judges how well the text fits
    vectors = _read_by_clip(texts, summary["clip"], options)
    with contextlib.suppress(OSError):  # a full disk: the vectors only make the next search faster
        for one, vector in zip(texts, vectors, strict=True):
            search.keep_text(study, one, vector)
    matches = search.most_alike(
        study.array(search.CLIP_IMAGES), vectors[0], int(options.get("top", TOP)), among=among
    )
    return report | {"found": search.hits(study, *matches)}


def _embed_images(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Run the step unless it is current."""
    summary = run_step("search", folder, options, progress)
    if why := summary.get("skipped"):
        raise StudyError(f"'{folder}': {why}")
    return summary


def _read_by_clip(texts: Sequence[str], clip: str, options: Mapping[str, Any]) -> Any:
    from core.concepts import tools

    return tools.opened_clip(clip, str(resolve_device(run_options(options).device))).embed_texts(list(texts))

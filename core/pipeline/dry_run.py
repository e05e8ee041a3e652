"""The report of `analyze --dry-run`: the inputs it detects, and the time and disk space of the study."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from core.answers.classes import BY_INDEX, FROM_ONE, match_classes
from core.common.device import run_options
from core.common.picture_bytes import image_address
from core.common.records import Record
from core.config import READOUT, EmbedConfig
from core.config.options import given_options
from core.data.class_list import read_class_list
from core.data.decode import thumbnail_jpeg
from core.data.pixel_values import facts_of_pictures
from core.encoders.trusted_code import allowing
from core.errors import ClipError, SettingsError, UnreadableImage
from core.pipeline.embed import check_class_file, load, open_source, own_head, with_encoder
from core.study.layers import below
from core.study.progress import Progress
from core.study.steps import settings_of

if TYPE_CHECKING:
    from core.data.images import ImageSource
    from core.encoders.registry import Encoder
    from core.pipeline.estimates import Estimate

SAMPLES = 3  # images named when no thumbnails are requested
SAMPLED = 48  # images decoded to estimate the rate
THUMBNAIL = 128  # pixels, longer side
FIRST_CAPTIONS = 3
FIRING_BYTES = 12  # per firing entry: feature, excess, and the row in the by-feature index


def plan(folder: str | Path, options: Mapping[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Plan an analysis without writing: inspect images, encoder, masks and captions, and time a sample.

    Args:
        options: as for `analyze`; `samples` adds thumbnails of that many images.
    Returns:
        JSON-able: the `options` that were given, the inputs (`images`, `samples`, `encoder`, `masks`,
        `captions`, `clip`), the estimated `seconds` and `bytes` of the whole analysis and of each of its
        `steps` (seconds None where they cannot be told), the free disk space, and whether the study exists.
    Raises:
        SettingsError: the folder is of a basis. Other errors as in `analyze`.
    """
    if below(Path(folder)) is not None:
        raise SettingsError("--dry-run is of a whole study; leave out --basis")
    if options.get("head_classes"):
        read_class_list(options["head_classes"])
    named, which_encoder = with_encoder(folder, options)
    with allowing(options.get("encoder")):  # named by the caller, hence trusted
        report = _plan(Path(folder), named, progress or Progress.silent())
    report["assumptions"] = [*filter(None, [which_encoder]), *report["assumptions"]]
    return report


def _plan(folder: Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    config: EmbedConfig = settings_of("embed", options)
    run = run_options(options)
    with progress.step("images"):
        source = open_source(config)
        n_samples, pictured = options.get("samples") or SAMPLES, bool(options.get("samples"))
        samples = _sample_images(source, n_samples, pictures=pictured and source.has_pictures)
    with progress.step("masks and captions"):
        masks, captions, clip = _masks_found(source, options), _captions_found(options), _clip_found(options)
    with progress.step("encoder"):
        encoder, about = load(config, source, run)
    with progress.step("speed"):
        pictures, unreadable, decode_seconds = _decode_sample(source)
        inputs = {"masks": masks, "captions": captions, "clip": clip}
        steps = _steps(source, encoder, pictures, decode_seconds, options, inputs)
    n_known, of_classes = _known_classes(encoder, source, options.get("head_classes"))
    reported = ("spec", *READOUT, "n_features", "family", "transform", "pools_globally")
    of_pixels = facts_of_pictures(pictures).notes()
    of_sample = {"unreadable_in_sample": unreadable, "sampled": len(pictures) + len(unreadable)}
    report = _found(source)
    report["notes"] += of_pixels
    inputs_found = {
        "images": report | {"n_known_to_classifier": n_known} | of_sample,
        "encoder": {key: about.get(key) for key in reported},
        "assumptions": [*about["assumptions"], *of_classes],
        "checkpoint": about.get("report"),
        "samples": samples,
        **inputs,
    }
    return {
        "study": str(folder),
        "exists": (folder / "manifest.json").exists(),
        "options": given_options(options),
        **inputs_found,
        "steps": [step.to_dict() for step in steps],
        "seconds": sum(step.seconds or 0.0 for step in steps) if steps else None,
        "bytes": round(sum(step.bytes for step in steps)),
        "passing_bytes": sum(step.passing for step in steps),
        "free_bytes": shutil.disk_usage(_existing_parent(folder)).free,
    }


def _found(source: ImageSource) -> dict[str, Any]:
    table = source.table
    labels = table["label"].dropna()
    counts = labels.value_counts()
    first_classes = counts.sort_index().head(20)
    return {
        "kind": source.kind,
        "n_images": len(table),
        "splits": table["split"].value_counts().to_dict(),
        "n_classes": len(counts),
        "group": source.group,
        "classes": dict(first_classes.items()),
        "smallest_class": int(counts.min()) if len(counts) else None,
        "notes": list(source.notes),
        "levels": list(getattr(source, "levels", [])),
        "how_read": how_read(source),
        "other_level": getattr(source, "other_level", None),
        "unread": list(source.unread),
        "first": table["image_id"].head(3).tolist(),
    }


def how_read(source: ImageSource) -> str:
    """Return what a dry run of the steps says of how a tree of folders is read; "" for CLASS/IMAGE."""
    tree_notes = (note for note in source.notes if isinstance(note, Record) and note.kind == "tree")
    return next(map(str, tree_notes), "")


def _known_classes(
    encoder: Encoder | np.ndarray, source: ImageSource, class_file: str | None
) -> tuple[int, list[str]]:
    """How many images have a label that is a class of the encoder's own classifier; none by number alone.

    Returns:
        their number, and what is guessed of the classes, or lacks an output, one line each.
    Raises:
        SettingsError: the file of class names cannot be read, or does not fit the classifier or the labels.
    """
    head, about = own_head(encoder)
    labels = source.table["label"].dropna()
    classes = sorted(labels.unique())
    if class_file:
        match = check_class_file(class_file, head, about, classes)
    else:
        match = match_classes(head.names, classes) if head is not None else None
    if match is None or (match.how in (BY_INDEX, FROM_ONE) and not class_file):
        return 0, []
    matched = [classes[code] for code in np.unique(match.code[match.code >= 0])]
    n_known, notes = int(np.count_nonzero(labels.isin(matched))), match.notes()[1:]
    if not class_file and head is not None and not any(head.names):
        n_known, notes = 0, match.notes()
    return n_known, [f"{line}; see --head-classes FILE" for line in notes]


def _decode_sample(source: ImageSource) -> tuple[list[Image.Image], list[str], float]:
    """Return images spread over the listing, the reasons of unreadable ones, and seconds per image; nothing
    where no pictures are to be read."""
    if not source.has_pictures:
        return [], [], 0.0
    rows = np.unique(np.linspace(0, len(source.table) - 1, SAMPLED).astype(int))
    pictures, unreadable = [], []
    began = time.perf_counter()
    for row in rows:
        try:
            pictures.append(source.read(int(row)))
        except UnreadableImage as error:
            unreadable.append(f"{source.table['path'].iloc[row]}: {error}")
    return pictures, unreadable, (time.perf_counter() - began) / len(rows)


def _steps(
    source: ImageSource,
    encoder: Encoder | np.ndarray,
    pictures: list[Image.Image],
    reading: float,
    options: Mapping[str, Any],
    inputs: Mapping[str, Any],
) -> list[Estimate]:
    """Estimate every step; none where no image of the sample can be read."""
    from core.analysis.probe_step import why_none_of
    from core.pipeline import estimates

    config: EmbedConfig = settings_of("embed", options)
    run, n_images = run_options(options), len(source.table)
    given = isinstance(encoder, np.ndarray)
    if not pictures and not given:
        return []
    size = config.thumbnail_size if source.has_pictures else 0
    decode = estimates.decode_rate(pictures, reading, size, run, n_images)
    if isinstance(encoder, np.ndarray):
        rates = estimates.ImageRates(decode, np.asarray(encoder[:64], np.float32))
    else:
        epsilon = settings_of("features", options).epsilon
        firing_at = epsilon if isinstance(epsilon, float) else 4.0
        rates = estimates.image_rates(encoder, pictures, decode, run, firing_at)
    masks, captions = inputs["masks"] or {}, inputs["captions"] or {}
    codes, names = pd.factorize(source.table["label"])
    is_val = source.table["split"].eq("val").to_numpy()
    sizes = estimates.Sizes(
        n_images,
        int(np.count_nonzero(is_val)),
        len(names),
        max(masks.get("n_core") or 0, masks.get("n_spurious") or 0),
        captions.get("n_captions") or 0,
        why_none_of(codes, is_val, [str(name) for name in names]),
    )
    embedded = _bytes(n_images, rates.raw.shape[1], pictures, config)
    clip = _clip(options, inputs["clip"])
    return estimates.estimate_steps(sizes, rates, options, embedded, clip, given=given)


def _clip(options: Mapping[str, Any], about: Mapping[str, Any] | None) -> Any:
    """Return the named CLIP, or the reason why it cannot be measured."""
    if about is None or not about["here"]:
        return "its CLIP is not on this computer" if about else "no CLIP is named"
    from core.concepts.clip import load_clip
    from core.encoders.fast_inference import reduced_type

    clip = load_clip(str(options["clip"])).packed()
    clip.image_precision = reduced_type(options.get("precision") or "auto")
    return clip


def _bytes(n_images: int, n_features: int, pictures: list[Image.Image], config: EmbedConfig) -> int:
    entry = 2 if config.dtype == "float16" else 4
    thumbnails = [len(thumbnail_jpeg(p, config.thumbnail_size)) for p in pictures if config.thumbnail_size]
    thumbnail = float(np.mean(thumbnails)) + 4 if thumbnails else 0.0
    firing = 0.01 * n_features * FIRING_BYTES  # about one feature in a hundred fires
    scores = 120.0  # bytes an image in the tables
    return int(n_images * (n_features * entry + thumbnail + firing + scores))


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in [path.resolve(), *path.resolve().parents] if parent.exists())


def _sample_images(source: ImageSource, n: int, *, pictures: bool) -> list[dict[str, Any]]:
    """Return some images spread evenly over the listing, by which an analysis is timed.

    Args:
        pictures: add a thumbnail of each as a data URI; "" for an unreadable image.
    Returns:
        image_id, split, label and, on request, thumbnail.
    """
    rows = np.unique(np.linspace(0, len(source.table) - 1, n).round().astype(int))
    records = source.table.iloc[rows][["image_id", "split", "label"]].to_dict("records")
    samples = [
        {**record, "label": record["label"] if isinstance(record["label"], str) else None}
        for record in records
    ]
    if pictures:
        for row, one in zip(rows, samples, strict=True):
            one["thumbnail"] = _data_uri(source, int(row))
    return samples


def _data_uri(source: ImageSource, row: int) -> str:
    try:
        jpeg = thumbnail_jpeg(source.read(row), THUMBNAIL)
    except UnreadableImage:
        return ""
    return image_address(jpeg)


def _masks_found(source: ImageSource, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Count the masks that match the images: the report of `MaskSource`; None where there are none.

    Raises:
        MaskError: masks were named, but none of them matches an image.
    """
    from core.data.masks import open_masks

    named = {key: options.get(key) for key in ("masks", "salient_imagenet", "annotations")}
    masks = open_masks(**named, source=source)
    return None if masks is None else {"kind": masks.kind, **masks.report}


def _captions_found(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the size of a caption bank and its first captions; None if none was named.

    Raises:
        CaptionError: the bank cannot be read or holds no usable captions.
    """
    if not options.get("captions"):
        return None
    from core.concepts.caption_bank import open_bank

    bank = open_bank(options["captions"])
    return {
        "name": str(options["captions"]),
        "n_captions": len(bank),
        "first": bank.texts(range(min(FIRST_CAPTIONS, len(bank)))),
        "notes": list(bank.notes),
        **bank.report,
    }


def _clip_found(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe the named CLIP for `--dry-run`, loaded if its weights are here, else downloaded on use.

    Raises:
        ClipError: its weights file is missing or does not fit.
    """
    spec = options.get("clip")
    if not spec:
        return None
    weights = str(spec).partition("@")[2]
    here = str(spec).startswith("asset:") or str(spec).endswith(".json") or Path(weights or "?").is_file()
    if not here:
        if "/" in weights:
            raise ClipError(f"no weights at '{weights}'. Name a file, or a tag as in ViT-B-32@openai")
        return {"name": str(spec), "here": False}
    from core.concepts.clip import load_clip

    return {"name": str(spec), "here": True, "width": load_clip(str(spec)).width}

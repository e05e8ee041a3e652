"""The step that makes a study: images are read, represented by an encoder, and stored."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from core.answers.classes import read_class_file
from core.common.dataframes import group_codes
from core.common.entries import record_of
from core.common.formatting import counted
from core.common.label_match import Match
from core.common.processes import default_workers
from core.common.step_facts import EncoderFacts
from core.config import ENCODER_SETTINGS, EmbedConfig, MaskOptions, RunOptions, as_settings
from core.config.checks import default_encoder, lacks_encoder
from core.encoders.assumptions import assumed, severity_of
from core.errors import SettingsError, UnreadableImage
from core.pipeline.heads import likely_head
from core.store import Study
from core.study.chunked_array import file_sha256
from core.study.manifest import MANIFEST, last_settings
from core.study.progress import Progress
from core.study.speed import Speed, write_speed
from core.study.writer import StepWriter, StudyWriter

if TYPE_CHECKING:
    from core.analysis.kept_maps import MapKeeper
    from core.analysis.representations import Consumer
    from core.concepts.whole_pictures import WholePictures
    from core.data.images import ImageSource
    from core.encoders.head import Head
    from core.encoders.registry import Encoder


def run_embed(
    writer: StudyWriter, config: EmbedConfig, run: RunOptions, progress: Progress, *, redo: bool = False
) -> None:
    """Run the step `embed` in every process of a torchrun, unless it is up to date.

    Whether it is can be told only from the opened images and the loaded encoder: their fingerprints are what
    the step reads outside the study.
    """
    from core.analysis.picture_table import write_picture_table
    from core.analysis.representations import embed_chunks, embed_tables
    from core.data.images import describe_images
    from core.data.pixel_values import TRANSPARENT

    with progress.stage("scan"):
        source = open_source(config)
        outside = {"images": source.fingerprint()}
        writer.ranks.agree("images", outside["images"])
    with progress.stage("load"):
        encoder, about = load(config, source, run)
    head, about_head = own_head(encoder)
    if class_file := writer.asked.get("answers", {}).get("head_classes"):  # which is used at the end
        check_class_file(class_file, head, about_head, sorted(source.table["label"].dropna().unique()))
    settings, outside["encoder"] = as_settings(config), about["fingerprint"]
    is_current = not redo and writer.is_current("embed", settings, (), outside)
    is_current &= _same_head(writer, about_head)
    if is_current:
        if run.strict:
            _check_nothing_skipped(writer.folder)
        progress.note("embed: up to date")
        return
    _check_masks(writer.asked, source)
    about |= _token_facts(source, encoder, run.batch_size, about["assumptions"])
    about["severities"] = [severity_of(one) for one in about["assumptions"]]
    for line in [*source.notes, *record_of(EncoderFacts, about).most_harmful]:
        progress.note(f"note: {line}")
    ready = isinstance(encoder, np.ndarray)
    if not ready:
        encoder.fold(head)
        about["map_precision"] = _precision_of_maps(source, encoder)
        about["n_precise"] = encoder.n_precise
    with writer.step("embed", settings, outside=outside) as out:
        maps = _keeper_of(writer.folder, out, source, encoder, run, about.get("map_precision", ""))
        whole = None if ready else _whole_pictures(writer, out, source, config, run)
        consumers = [*_consumers_of(config, source, encoder, head, maps), *([whole] if whole else [])]
        with progress.stage("embed", total=len(source.table), unit="images") as bar:
            unreadable, pixels = embed_chunks(
                out,
                source,
                consumers,
                bar,
                batch_size=run.batch_size,
                workers=default_workers(run, len(source.table)),
                pin=not ready and encoder.device.type == "cuda",
                needed=not ready,
                strict=run.strict,
            )
        out.summary = embed_tables(out, source, unreadable)
        lost = [row for row, _ in unreadable]
        readable = source.table.drop(index=source.table.index[lost])
        out.summary["pictures"] = {}
        if source.has_pictures:
            with progress.stage("duplicates"):
                out.summary["pictures"] = write_picture_table(out, readable.loc[:, "image_id"])
        if unreadable:
            n = counted(len(unreadable), "image")
            progress.note(f"{n} could not be read; the table 'skipped' lists what and why")
        notes = [*source.notes, *pixels.notes()]
        for line in pixels.notes():
            progress.note(f"note: {line}")
        out.summary |= {"source": describe_images(source), "notes": notes, "encoder": about}
        out.summary |= {"n_transparent": pixels.counts[TRANSPARENT]}
        out.summary |= {"split_given": bool(source.split_given), "head": about_head}
        if head is not None:
            taken, of_choice = likely_head(out, head, readable, class_file, _groups(source, lost))
            of_taken = _head_facts(taken, encoder) | {"fingerprint": about_head["fingerprint"]}
            out.summary["head"] = of_taken | {"notes": [*of_choice, *taken.notes]}
            _write_head(out, taken)
        out.when_entered.append(partial(_keep_speed, writer.folder, consumers[0], run))
        for made, asking in ((maps, "heatmaps"), (whole, "search")):
            out.when_entered.append(partial(_remove_unasked, writer.folder, made, asking))


def _remove_unasked(folder: Path, made: MapKeeper | WholePictures | None, asking: str) -> None:
    """Remove what is kept for a step that is done already, so that nothing will ask for it."""
    if made is not None and Study(folder).state(asking) == "done":
        made.scratch.remove()


def _keep_speed(folder: Path, consumer: Consumer, run: RunOptions) -> None:
    """Keep how long a picture took to embed, where the encoder has made any in this run."""
    import torch

    from core.analysis.representations import Representations

    if isinstance(consumer, Representations) and consumer.passes:
        encoder = consumer.encoder
        n = sum(count for count, _ in consumer.passes)
        where = (run.batch_size, encoder.device.type, torch.get_num_threads(), encoder.fingerprint)
        write_speed(folder, Speed(consumer.milliseconds, n, *where))


def _groups(source: ImageSource, lost: Sequence[int]) -> np.ndarray | None:
    """(n_readable,) int32: the groups of the images that could be read; None where each is for itself."""
    if source.group is None or source.extras is None:
        return None
    return np.delete(group_codes(cast(pd.Series, source.extras[source.group])), lost)


def _precision_of_maps(source: ImageSource, encoder: Encoder) -> str:
    """In which precision a study's maps are made, by its first images; float32 where none can be read."""
    import torch

    from core.analysis.kept_maps import COMPARED, settle_precision
    from core.analysis.representations import input_views
    from core.encoders.fast_inference import FULL, REDUCED

    if encoder.precision not in REDUCED:
        return FULL
    pixels = input_views(source, encoder.transform)[range(min(COMPARED, len(source.table)))].pixels
    with torch.inference_mode():
        return FULL if pixels is None else settle_precision(encoder, pixels)


def _keeper_of(
    study: Path,
    out: StepWriter,
    source: ImageSource,
    encoder: Encoder | np.ndarray,
    run: RunOptions,
    precision: str,
) -> MapKeeper | None:
    """Return what keeps maps for `heatmaps` in the run of `embed`; None where it reads pictures once more.

    Args:
        precision: in which maps are made.
    """
    from core.analysis.kept_maps import map_keeper
    from core.study.stored_heatmaps import MapScratch

    if run.no_maps or isinstance(encoder, np.ndarray):
        return None
    return map_keeper(MapScratch(study, out.fingerprint), encoder, len(source.table), precision)


def _whole_pictures(
    writer: StudyWriter, out: StepWriter, source: ImageSource, config: EmbedConfig, run: RunOptions
) -> WholePictures | None:
    """What lets CLIP see each whole image in the same pass; None where nothing that follows asks for that."""
    from core.concepts.search_index import clip_in_pass

    spec = clip_in_pass(writer.asked, source)
    if spec is None:
        return None
    from core.common.device import resolve_device
    from core.concepts.clip_and_captions import opened_clip
    from core.concepts.whole_pictures import ClipScratch, WholePictures
    from core.encoders.fast_inference import reduced_type

    clip = opened_clip(spec, str(resolve_device(run.device)))
    clip.image_precision = reduced_type(config.precision)
    return WholePictures(clip, ClipScratch.by(clip, writer.folder, out.fingerprint))


def _consumers_of(
    config: EmbedConfig,
    source: ImageSource,
    encoder: Encoder | np.ndarray,
    head: Head | None,
    maps: MapKeeper | None = None,
) -> list[Consumer]:
    """Return what `embed` makes of each decoded picture; without pictures only the representations."""
    from core.analysis.representations import (
        PictureColumns,
        ReadyRepresentations,
        Representations,
        ThumbnailFiles,
    )

    if isinstance(encoder, np.ndarray):
        first: Consumer = ReadyRepresentations(encoder, source, dtype=config.dtype)
    else:
        in_pass = head if head is not None and head.logits_in_pass else None
        first = Representations(encoder, in_pass, source, dtype=config.dtype, maps=maps)
    if not source.has_pictures:
        return [first]
    thumbnails = [ThumbnailFiles(config.thumbnail_size)] if config.thumbnail_size else []
    return [first, *thumbnails, PictureColumns()]


def own_head(encoder: Encoder | np.ndarray) -> tuple[Head | None, dict[str, Any]]:
    """Find for `embed` the encoder's classifier and what the study is to store of it, at least why none."""
    one: Any = encoder
    head = one.find_head() if hasattr(one, "find_head") else "representations were given"
    if isinstance(head, str):
        return None, {"why": head}
    return head, _head_facts(head, encoder)


def _head_facts(head: Head, encoder: Any) -> dict[str, Any]:
    """Return what a study that is embedded remembers of the encoder's classifier."""
    facts = {"n_outputs": head.n_outputs, "linear": head.linear is not None, "assumed": head.assumed}
    facts |= {"normalisation_stated": encoder.normalisation_stated, "notes": list(head.notes)}
    if encoder.other_stem_paddings:
        facts["other_stem_paddings"] = list(encoder.other_stem_paddings)
    if head.source:
        facts["source"] = head.source
    if head.hidden is not None:
        facts["activation"] = head.hidden[2]
    if head.single:
        facts["single"] = True
    if head.independent:
        facts["independent"] = True
    if head.unchecked:
        facts["unchecked"] = encoder.arch
    return facts | {"fingerprint": head.fingerprint}


def check_class_file(path: str, head: Head | None, about: Mapping[str, Any], labels: Sequence[str]) -> Match:
    """Check for `embed` the file that names the classes of the encoder's own classifier, and read it.

    Args:
        head, about: of `own_head`. labels: sorted.
    Raises:
        SettingsError: there is no classifier, or the file does not fit it or the labels.
    """
    if head is None:
        raise SettingsError(f"--head-classes {path}: {about['why']}")
    return read_class_file(path, head.n_outputs, labels, head.names)


def _check_masks(requested: Mapping[str, Mapping[str, Any]], source: ImageSource) -> None:
    """Raise MaskError, before images are embedded, where masks that later steps are to read match no image.

    Args:
        requested: settings by step, of the steps that are to be run.
    """
    from core.data.masks import open_masks

    steps = (requested.get(step, {}) for step in ("heatmaps", "overlap"))
    named = [{field: one.get(field) for field in MaskOptions.__dataclass_fields__} for one in steps]
    for at, one in enumerate(named):
        if any(one.values()) and one not in named[:at]:
            open_masks(**one, source=source)


def _same_head(writer: StudyWriter, about: dict[str, Any]) -> bool:
    """Whether a study has this classifier, or comes from a version that took none."""
    entry = writer.manifest["steps"].get("embed", {})
    before = entry.get("summary", {}).get("head")
    return before is None or before.get("fingerprint") == about.get("fingerprint")


def _write_head(out: StepWriter, head: Head) -> None:
    """Write the encoder's classifier into a study that is embedded.

    Write what the outputs are called and, where the head is linear on the representation or has one hidden
    layer, the weights of its layers."""
    wordnet = [next(iter(names), "") if len(names) > 1 else "" for names in head.names]
    frame = {"output": range(head.n_outputs), "wordnet": wordnet}
    names = [names[-1] if names else "" for names in head.names]
    out.table(
        "head_classes", pd.DataFrame({**frame, "name": names}).astype({"wordnet": "str", "name": "str"})
    )
    layers = {"head": head.linear} if head.linear else {}
    if head.hidden is not None:
        layers = {"head_hidden": head.hidden[0], "head_output": head.hidden[1]}
    for name, (weights, bias) in layers.items():
        out.vector(f"{name}_weights", weights.float().numpy())
        out.vector(f"{name}_bias", bias.float().numpy())


def _token_facts(
    source: ImageSource, encoder: Encoder | np.ndarray, n_images: int, assumptions: list[str]
) -> dict[str, Any]:
    """Compare the norms of every token rule on the first images, for an encoder that follows one.

    Returns:
        token_norms: median norm by rule; assumptions: those given, and a warning where norms are far apart.
        Empty for other encoders, and where none of the images can be read.
    """
    one: Any = encoder  # ready representations follow no rule
    rule = getattr(one, "token_rule", None)
    if rule is None:
        return {}
    import torch

    from core.analysis.representations import input_views
    from core.encoders.tokens import norm_warning, token_norms

    first = input_views(source, one.transform)[range(min(n_images, len(source.table)))]
    if first.pixels is None:
        return {}
    with torch.inference_mode():
        norms = token_norms(one, first.pixels)
    warning = norm_warning(norms, rule)
    return {
        "token_norms": {f"{other.tokens} {other.norm}": norm for other, norm in norms.items()},
        "assumptions": [*assumptions, *([warning] if warning else [])],
    }


def _check_nothing_skipped(folder: Path) -> None:
    """Raise UnreadableImage, naming the first, when a finished run of `embed` skipped images."""
    skipped = Study(folder).table("skipped")
    if len(skipped):
        path, reason = skipped.iloc[0]
        raise UnreadableImage(f"{path}: {reason} ({len(skipped)} skipped; --strict stops here)")


def open_source(config: EmbedConfig) -> ImageSource:
    """Open the images that `embed` runs over, by its settings; of ready representations, a table will do."""
    from core.analysis.representations import open_ready_representations
    from core.data.images import open_images, open_representation_table
    from core.data.pixel_values import reading_of

    is_table = Path(config.images).suffix.lower() in {".csv", ".tsv", ".parquet"}
    if config.representations and (is_table or not config.images):
        n_rows = len(open_ready_representations(config.representations))
        return open_representation_table(config.images or None, n_rows=n_rows, seed=config.seed)
    levels = {"class_level": config.class_level, "group_level": config.group_level}
    opened = open_images(config.images, val=config.val, seed=config.seed, **levels)
    return opened.read_as(reading_of(config.range, config.transparency))


def with_encoder(folder: str | Path, options: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """Name the encoder where the options do not: the study's own, else the one that suits the images.

    Returns:
        the options, and a line that says which was taken; None where they name one, or ready representations.
    """
    if not lacks_encoder(options):
        return options, None
    has_one = (Path(folder) / MANIFEST).is_file()
    settings = last_settings(Study(folder).manifest, "embed") if has_one else {}
    its_own = {name: settings[name] for name in ("encoder", "representations") if settings.get(name)}
    named = its_own or {"encoder": default_encoder(options)}
    reason = "as this study was made" if its_own else "which is shipped; --encoder names another"
    return {**options, **named}, f"no encoder was named: {next(iter(named.values()))}, {reason}"


def _count_parameters(encoder: Encoder) -> int:
    """Count the numbers of a network that make a representation: without the classifier behind it."""
    name = encoder.classifier
    behind = (
        set()
        if name is None
        else {id(parameter) for parameter in encoder.base.get_submodule(name).parameters()}
    )
    return sum(parameter.numel() for parameter in encoder.model.parameters() if id(parameter) not in behind)


def _enlarged(source: ImageSource, encoder: Encoder, config: EmbedConfig) -> list[str]:
    """Warn where the first images are enlarged at least twice and nobody asked for that size."""
    if config.input_size is not None or config.resize is not None or not source.has_pictures:
        return []
    sides = []
    for row in range(min(8, len(source.table))):
        with contextlib.suppress(UnreadableImage):
            sides.append(min(source.read(row).size))
    side, view = int(np.median(sides or [0])), min(encoder.transform.sides)
    if not 0 < 2 * side <= view:
        return []
    return [assumed("enlarged", n=side, of=view)]


def load(
    config: EmbedConfig, source: ImageSource, run: RunOptions
) -> tuple[Encoder | np.ndarray, dict[str, Any]]:
    """Load the encoder (or ready representations) of a study to embed, and what it remembers of it."""
    if config.representations:
        from core.analysis.representations import load_ready_representations

        raw = load_ready_representations(config.representations, len(source.table))
        file = Path(config.representations)
        is_nonnegative = bool(raw[:4096].min() >= 0)
        about = {"spec": file.name, "name": file.name, "n_features": raw.shape[1], "family": "given"}
        about |= {"nonnegative": is_nonnegative, "fingerprint": file_sha256(file)}
        return raw, about | {"assumptions": [assumed("given")]}
    from core.common.device import resolve_device
    from core.encoders.fast_inference import check_precision
    from core.encoders.head import head_of_file
    from core.encoders.registry import load_encoder
    from core.encoders.spec import domain_prefix, parse_spec

    check_precision(config.precision, resolve_device(run.device))
    encoder = load_encoder(
        config.encoder, **{name: getattr(config, name) for name in ENCODER_SETTINGS}, device=run.device
    )
    encoder.precision = config.precision
    if config.head:
        encoder.find_head = partial(head_of_file, encoder, config.head)
    has_no_prefix = encoder.early or encoder.pool not in (None, "gap")
    about = {
        "spec": encoder.spec,
        "name": parse_spec(encoder.spec).short_name,
        "layer": encoder.target_layer,
        "n_features": encoder.n_features,
        "parameters": _count_parameters(encoder),
        "family": encoder.family,
        "nonnegative": encoder.nonnegative,
        "pools_globally": encoder.pools_globally,
        "pool": encoder.pool,
        "prefix": None if has_no_prefix else domain_prefix(encoder.spec),
    }
    about |= {
        "tokens": encoder.token_rule and encoder.token_rule.tokens,
        "token_norm": encoder.token_rule and encoder.token_rule.norm,
        "precision": str(encoder.dtype).removeprefix("torch."),
        "transform": encoder.transform.to_dict(),
        "fingerprint": encoder.fingerprint,
        "assumptions": [*encoder.assumptions, *_enlarged(source, encoder, config)],
        "report": encoder.report.to_dict(),
    }
    return encoder, about

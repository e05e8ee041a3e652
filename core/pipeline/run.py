"""The steps of a study in order, each with its settings and inputs. `analyze` runs all that are not current.

embed ─► features ─► neighbours ─► probe ─► quality ─► map ─► heatmaps ─► overlap ─► concepts ─► failures
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.worker_group import Ranks, join_ranks
from core.common.workers import default_workers
from core.config import ConceptsConfig, EmbedConfig, MaskOptions, RunOptions, as_settings
from core.encoders.trusted_code import allowing
from core.errors import NoDiscriminativeFeatures, SettingsError, StudyError, UnreadableImage
from core.steps import DECODES, INPUTS, NEEDS, check_device, run_options, settings_of, step_function
from core.storage.manifest import STEPS
from core.storage.writer import StepWriter, StudyWriter, write_study
from core.store import open_study

if TYPE_CHECKING:
    import numpy as np

    from core.data.sources.images import ImageSource
    from core.encoders.registry import Encoder
    from core.jobs.progress import Progress
    from core.store import Study

ASKED_ANEW = (
    "features",
    "explainable",
    "groups",
    "explained",
)  # which units, not how: never kept from before


def analyze(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> None:
    """Run every step that is missing or whose settings or inputs changed.

    Args:
        options: fields of the step configs and of RunOptions by name (`images`, `encoder`, `epsilon` …).
    """
    with _own_words(options):
        _analyze(folder, {step: settings_of(step, options) for step in STEPS}, options, progress)


def _analyze(
    folder: str | Path, configs: Mapping[str, Any], options: Mapping[str, Any], progress: Progress
) -> None:
    """Run the steps of `configs` that are not current; `options` says how fast and where."""
    check_device(options)
    ranks = join_ranks()
    empty: NoDiscriminativeFeatures | None = None
    with _opened_by_all(folder, ranks) as writer:
        for step, config in configs.items():
            if (step != "embed" and not ranks.is_first) or (empty and "features" in NEEDS[step]):
                continue
            try:
                with progress.step(step):
                    _run(writer, step, config, run_options(options), progress, ranks)
            except NoDiscriminativeFeatures as error:  # neighbours and probe can do without
                empty = error
    if empty:
        raise empty


def resume(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> None:
    """Run every step that a study lacks or whose inputs have changed, with the settings it has already.

    Args:
        options: settings that change, as for `analyze` (an `epsilon` that works), and fields of RunOptions.
    Raises:
        StudyError: nothing is known of the images yet, because `embed` did not come to its end.
    """
    study = open_study(folder)
    if not study.settings("embed"):
        raise StudyError(
            f"'{folder}' does not say which images and encoder it was begun with. Run the command that "
            "began it again; what is finished is kept"
        )
    _analyze(
        folder, {step: settings_of(step, options, study.settings(step)) for step in STEPS}, options, progress
    )


def _own_words(options: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Code that the caller names is the caller's own; what a study names is not."""
    return allowing(options.get("encoder"), options.get("captioner"))


def run_step(step: str, folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Run one step; options not given stay as they were in the study. Returns the step's summary.

    Args:
        options: as for `analyze`; with `redo` the step is run even if nothing has changed.
    """
    ranks = join_ranks()
    if step != "embed":
        if not ranks.is_first:
            return {}
        ranks = Ranks()
        check_needs(step, folder)
    check_device(options)
    with _own_words(options), _opened_by_all(folder, ranks) as writer:
        before = writer.manifest["steps"].get(step, {}).get("settings", {})
        if step == "embed" and (options.get("encoder") or options.get("representations")):
            before = {k: v for k, v in before.items() if k not in ("encoder", "representations")}
        config = settings_of(step, options, {k: v for k, v in before.items() if k not in ASKED_ANEW})
        if options.get("redo"):
            writer.forget(step)
        with progress.step(step):
            _run(writer, step, config, run_options(options), progress, ranks)
        return writer.manifest["steps"].get(step, {}).get("summary", {})


@contextmanager
def _opened_by_all(folder: str | Path, ranks: Ranks) -> Iterator[StudyWriter]:
    """The study in every process: the first one holds the lock, and changes nothing until all have read."""
    if not ranks.is_first:
        ranks.wait()
    with write_study(folder, guest=not ranks.is_first) as writer:
        if ranks.is_first:
            ranks.wait()
        ranks.wait()
        yield writer


def check_needs(step: str, folder: str | Path) -> None:
    """Raise StudyError, naming the command to run first, when a step lacks what it cannot do without."""
    study = open_study(folder)
    for needed in NEEDS[step]:
        if study.state(needed) != "done":
            raise StudyError(f"'{step}' needs '{needed}', which is {study.missing()[needed]}")


def request_heatmaps(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Compute maps of single images that the study does not hold, and keep them beside it.

    Args:
        options: `image` (list of image ids), `feature` (list of numbers), and the fields of RunOptions.
    """
    if not options.get("image") or not options.get("feature"):
        raise SettingsError("which maps? Give both --image ID and --feature J[,K]")
    check_needs("heatmaps", folder)
    check_device(options)
    from core.analysis.gradcam import step as heatmap_step
    from core.common.device import resolve_device

    device = resolve_device(run_options(options).device)
    with progress.step("heatmaps"):
        return heatmap_step.request_heatmaps(
            open_study(folder), options["image"], options["feature"], progress=progress, device=device
        )


def delete_study(folder: str | Path) -> None:
    """Remove a study's files; a folder that holds something else is refused."""
    import shutil

    path = Path(folder)
    if not path.exists():
        return
    with write_study(path):
        for entry in path.iterdir():
            if entry.name in {".lock", "progress.json", "log.txt"}:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _run(
    writer: StudyWriter, step: str, config: Any, run: RunOptions, progress: Progress, ranks: Ranks
) -> None:
    if step == "embed":
        _run_embed(writer, config, run, progress, ranks)
        return
    settings, inputs = as_settings(config), INPUTS[step]
    if settings.get("curves"):  # they remove features by activation rate
        inputs += ("features",)
    study = open_study(writer.folder)
    outside = outside_inputs(study, config, run)
    if writer.is_current(step, settings, inputs, outside):
        progress.note(f"{step}: up to date")
        return
    from core.common.device import resolve_device

    more = {"options": run} if step in DECODES else {}
    with writer.step(step, settings, inputs, outside) as out:
        step_function(step)(study, out, config, progress=progress, device=resolve_device(run.device), **more)


def _run_embed(
    writer: StudyWriter, config: EmbedConfig, run: RunOptions, progress: Progress, ranks: Ranks
) -> None:
    with progress.stage("scan"):
        source = open_source(config)
        outside = {"images": source.fingerprint()}
    with progress.stage("load"):
        encoder, about = load(config, source, run)
    settings, outside["encoder"] = as_settings(config), about["fingerprint"]
    is_current = writer.is_current("embed", settings, (), outside)
    ranks.wait()  # all have looked before the first changes the manifest
    if is_current:
        if run.strict:
            check_nothing_skipped(writer.folder)
        progress.note("embed: up to date")
        return
    for line in [*source.notes, *about["assumptions"]]:
        progress.note(f"note: {line}")
    with writer.step("embed", settings, outside=outside) as out:
        _embed(out, source, encoder, config, run, progress, ranks)
        out.summary |= {"source": source.describe(), "notes": list(source.notes), "encoder": about}


def outside_inputs(study: Study, config: Any, run: RunOptions) -> dict[str, str] | None:
    """Fingerprints of what a step reads that does not lie in the study."""
    if isinstance(config, MaskOptions):
        return mask_fingerprint(study, config)
    if isinstance(config, ConceptsConfig):
        from core.common.device import resolve_device
        from core.concepts.tools import clip_and_caption_inputs as clip_and_captions

        return clip_and_captions(study, config, resolve_device(run.device))
    return None


def mask_fingerprint(study: Study, config: MaskOptions) -> dict[str, str]:
    """What identifies the masks that a step would use: {"masks": sha256}, or {} where there are none."""
    from core.data.masks.masks import open_masks

    masks = open_masks(
        masks=config.masks,
        salient_imagenet=config.salient_imagenet,
        annotations=config.annotations,
        source=study.source,
    )
    return {"masks": masks.fingerprint()} if masks else {}


def check_nothing_skipped(folder: Path) -> None:
    """Raise UnreadableImage, naming the first, when a finished study skipped images."""
    skipped = open_study(folder).table("skipped")
    if len(skipped):
        path, reason = skipped.iloc[0]
        raise UnreadableImage(f"{path}: {reason} ({len(skipped)} skipped; --strict stops here)")


def open_source(config: EmbedConfig) -> ImageSource:
    """The images of a study; with ready representations, a table without pictures (or nothing) will do."""
    from core.data.sources.images import open_images, open_representation_table

    is_table = Path(config.images).suffix.lower() in {".csv", ".tsv", ".parquet"}
    if config.representations and (is_table or not config.images):
        n_rows = count_rows(config.representations)
        return open_representation_table(config.images or None, n_rows=n_rows, seed=config.seed)
    return open_images(config.images, val=config.val, seed=config.seed)


def count_rows(npy: str) -> int:
    """Rows of a .npy file of representations."""
    from core.analysis.representations import open_ready_representations

    return len(open_ready_representations(npy))


def _embed(
    out: StepWriter,
    source: ImageSource,
    encoder: Encoder | np.ndarray,
    config: EmbedConfig,
    run: RunOptions,
    progress: Progress,
    ranks: Ranks,
) -> None:
    from core.analysis.representations import embed_chunks, embed_tables

    with progress.stage("embed", total=len(source.table), unit="images") as bar:
        unreadable = embed_chunks(
            out,
            source,
            encoder,
            bar,
            dtype=config.dtype,
            thumbnail_size=config.thumbnail_size if source.has_pictures else 0,
            batch_size=run.batch_size,
            workers=default_workers(run, len(source.table)),
            strict=run.strict,
            ranks=ranks,
        )
    if not ranks.is_first:
        return
    out.summary = embed_tables(out, source, unreadable)
    if unreadable:
        progress.note(f"{len(unreadable)} images could not be read; they are listed in the table 'skipped'")


def load(
    config: EmbedConfig, source: ImageSource, run: RunOptions
) -> tuple[Encoder | np.ndarray, dict[str, Any]]:
    """The encoder (or the ready representations) and what a study remembers of it."""
    if config.representations:
        from core.analysis.representations import load_ready_representations
        from core.storage.chunked_array import file_sha256

        raw = load_ready_representations(config.representations, len(source.table))
        return raw, {
            "spec": Path(config.representations).name,
            "name": Path(config.representations).name,
            "n_features": raw.shape[1],
            "family": "given",
            "nonnegative": bool(raw[:4096].min() >= 0),
            "fingerprint": file_sha256(Path(config.representations)),
            "assumptions": ["representations were given; there are no heatmaps without an encoder"],
        }
    from core.encoders.registry import load_encoder
    from core.encoders.spec import parse_spec

    encoder = load_encoder(
        config.encoder,
        layer=config.layer,
        mean=config.mean,
        std=config.std,
        input_size=config.input_size,
        resize=config.resize,
        device=run.device,
    )
    encoder.precision = config.precision
    return encoder, {
        "spec": encoder.spec,
        "name": parse_spec(encoder.spec).short_name,
        "layer": encoder.target_layer,
        "n_features": encoder.n_features,
        "family": encoder.family,
        "nonnegative": encoder.nonnegative,
        "pools_globally": encoder.pools_globally,
        "transform": encoder.transform.to_dict(),
        "fingerprint": encoder.fingerprint,
        "assumptions": list(encoder.assumptions),
        "report": encoder.report.to_dict(),
    }

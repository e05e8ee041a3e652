"""Bases are added to a study, loaded from files of other libraries, and removed."""

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from core.bases.basis import STEP, UNITS, Basis, basis_named
from core.bases.dictionary import check_dictionary, check_latents
from core.bases.dictionary_measures import check_fit, chosen, fit_of, stability
from core.bases.encoding import NewBasis, write_basis
from core.bases.files import normalised, read_dictionary, weights_file
from core.bases.kinds import KINDS
from core.bases.origin import contradictions
from core.bases.reading import StatedSettings
from core.bases.vectors import FitRun, Vectors, sampled_positions, states
from core.common.device import resolve_device
from core.common.step_facts import EmbedFacts
from core.common.topics import function_named
from core.config import BasisConfig, LoadedBasisConfig, as_settings
from core.errors import SettingsError, StudyError
from core.study.chunked_array import file_sha256
from core.study.inside import check_name, name_from
from core.study.layers import layer
from core.study.manifest import digest
from core.study.progress import Progress
from core.study.reader import StudyReader
from core.study.writer import write_study

CONTROL = "random"  # the kind of basis that learned nothing
READOUTS = "core.analysis.readouts:other_readouts"
CHECKED = 2048  # vectors on which a loaded dictionary is checked first, and random directions are
INPUTS = ("images", "representations")
READ, FITTED = 0.2, 0.9  # shares of the work at which positions are read, and at which all runs are fitted
READ_AS = ("activation", "pre_bias")  # how a file is read, where it does not say it
POSITIONS = "core.analysis.readouts:PositionReader"


def add_basis(
    folder: str | Path, name: str | None, config: BasisConfig, progress: Progress, *, device: str = "auto"
) -> Basis:
    """Fit a basis on the train images of a study, and encode all; an interrupted training goes on.

    Raises:
        SettingsError: the kind, the size or k does not suit the vectors.
    """
    kind = KINDS[str(config.kind)]
    name = check_name(name or kind.name, UNITS)
    where = resolve_device(device)
    settings = as_settings(config)
    with write_study(folder) as writer, progress.step("basis"), states(writer.folder, name):
        study = _study_to_encode(folder)
        step = STEP.format(name=name)
        if writer.is_current(step, settings, INPUTS):
            progress.note(f"{name}: up to date")
            return basis_named(study, name)
        state = _state(study, name, settings)
        goes_on = any(study.path.glob(f"{state.name}.*"))  # an interrupted run, whose time is not known
        if config.size and config.k and not kind.has_latents_for(config.k, config.size):
            raise SettingsError(
                f"--k {config.k}: there are only {config.size:,} latents (--size {config.size}); lower k"
            )
        positions = _reader(study, config, where)
        with progress.part(0.0, READ):
            vectors = _vectors(study, positions, state, progress)
        size = config.size or kind.default_size(vectors.width, len(vectors))
        check_latents(size, f"--size {size}")
        run = FitRun(progress, where, state, settings, config.steps)
        with writer.step(step, settings, INPUTS) as out:
            fit = function_named(kind.fit)
            k = min(config.k or kind.default_k(size), size)
            read = READ if positions else 0.0
            fits, began = [], time.monotonic()
            for seed in range(config.seeds):
                begin, end = (read + (FITTED - read) * n / config.seeds for n in (seed, seed + 1))
                with progress.part(begin, end, run=seed + 1, of=config.seeds):
                    fits.append(fit(vectors, size, k, seed, run))
            progress.keep_seconds(step, None if goes_on else time.monotonic() - began)
            stable = stability(fits[0].decoder, [one.decoder for one in fits[1:]])
            facts: dict[str, Any] = {"seeds": config.seeds, "n_train": len(vectors)}
            if kind.name != CONTROL:
                facts["r2_random"] = _r2_of_random(study, vectors, positions, size, k, run)
            new = NewBasis(name, kind.name, fits[0], config.on, stable, facts)
            how = {"positions": positions, "pool_codes": config.pool_codes, "state": _sums(state)}
            with progress.part(FITTED, 1.0):
                write_basis(study, out, new, where, progress, **how)
    return basis_named(StudyReader(folder), name)


def _r2_of_random(
    study: StudyReader, vectors: Vectors, positions: Any, size: int, k: int, run: FitRun
) -> float:
    """R2 of as many random directions, of which as many are active: what nobody had to learn.

    On CHECKED evaluation images at most, drawn by seed; of positions, and without evaluation images, on
    vectors of train images: random directions know neither.
    """
    control = function_named(KINDS[CONTROL].fit)(vectors, size, k, 0, run)
    held_out = np.flatnonzero(study.is_val)
    judged = vectors
    if positions is None and len(held_out) > 1:
        judged = Vectors(study.array("representations"), held_out)
    return fit_of(control, judged.sample(0, CHECKED), run.device).r2


def _state(study: StudyReader, name: str, settings: dict[str, Any]) -> Path:
    """What the files of an interrupted run begin with: a mark of all that they follow from, the split too."""
    mark = digest({"settings": settings, "of": [study.manifest["items"][item] for item in INPUTS]})[:12]
    return study.path / f".basis-{name}-{mark}"


def _reader(study: StudyReader, config: BasisConfig, device: Any) -> Any:
    """What reads the positions of images; None for pooled vectors."""
    return function_named(POSITIONS)(study, device) if config.on == "positions" else None


def _vectors(
    study: StudyReader, positions: Any, state: Path, progress: Progress, most: int | None = None
) -> Vectors:
    """The vectors of train images; of positions at most `most`, drawn by seed."""
    if positions is None:
        return Vectors(study.array("representations"), np.flatnonzero(~study.is_val))
    folder = state.with_name(f"{state.name}.vectors")
    return sampled_positions(study, positions, folder, progress, most=most)


def _sums(state: Path) -> Path:
    """The folder of the sums of a pass over positions."""
    return state.with_name(f"{state.name}.sums")


def load_basis(
    folder: str | Path,
    path: str | Path,
    name: str | None,
    config: BasisConfig,
    progress: Progress,
    *,
    device: str = "auto",
    k: int | None = None,
) -> Basis:
    """Load another library's dictionary as a basis of a study: check that it fits, encode all images.

    Args:
        k: how many codes are kept; None: as the file says. config: `activation` and `pre_bias` of it too.
    Raises:
        CheckpointError: the file holds no dictionary. SettingsError: it encodes nothing of this study.
    """
    where = resolve_device(device)
    name = check_name(name or name_from(Path(path)), UNITS)
    pre_bias = None if config.pre_bias is None else config.pre_bias == "yes"
    read_file = read_dictionary(path, asked=StatedSettings(k, config.activation, pre_bias))
    dictionary = read_file.dictionary
    file = weights_file(Path(path))
    if k is not None and dictionary.k is None:
        raise SettingsError(
            f"--k {k}: '{file}' keeps codes by {dictionary.activation}, not the largest k; leave out --k"
        )
    settings = as_settings(LoadedBasisConfig(str(file.resolve()), k, config.on, config.normalisation))
    settings |= {name: one for name in READ_AS if (one := getattr(config, name)) is not None}
    settings |= {"pool_codes": config.pool_codes} if config.on == "positions" else {}
    with write_study(folder) as writer, progress.step("basis"), states(writer.folder, name):
        study = _study_to_encode(folder)
        step = STEP.format(name=name)
        state = _state(study, name, settings)
        positions = _reader(study, config, where)
        width = positions.width if positions else study.array("representations").shape[1]
        vectors = _vectors(study, positions, state, progress, CHECKED)
        sample = vectors.sample(0, CHECKED)
        dictionary, choice = chosen(read_file, width, sample, where)
        check_dictionary(dictionary, width, f"'{file}'")
        spread = vectors.width**0.5 / vectors.scale
        length = float(np.linalg.norm(sample, axis=1).mean())
        dictionary = normalised(
            dictionary,
            config.normalisation,
            vectors.centre,
            spread if config.normalisation == "centred" else length,
        )
        notes = check_fit(
            dictionary,
            sample,
            f"'{file}'",
            where,
            readouts=lambda: function_named(READOUTS)(study, where, on=config.on),
            assumed_pre_bias=read_file.assumed_pre_bias,
        )
        encoder = study.facts(EmbedFacts).encoder
        others = contradictions(read_file.origin, encoder, study.settings("embed"), config.on)
        notes = [read_file.report, *others, *read_file.notes, *choice, *notes]
        for note in notes:
            progress.note(f"{name}: {note}")
        with writer.step(step, settings, INPUTS, {"file": file_sha256(file)}) as out:
            k = dictionary.k or max(1, round(fit_of(dictionary, sample, where).l0))
            run = FitRun(progress, where, state, settings)
            by_random = _r2_of_random(study, vectors, positions, dictionary.size, k, run)
            facts = {"file": file.name, "notes": notes, "seeds": 1, "r2_random": by_random}
            new = NewBasis(name, "file", dictionary, config.on, facts=facts)
            how = {"positions": positions, "pool_codes": config.pool_codes, "state": _sums(state)}
            write_basis(study, out, new, where, progress, **how)
    return basis_named(StudyReader(folder), name)


def remove_basis(folder: str | Path, name: str) -> None:
    """Remove a basis of a study, its files and all that was made in it."""
    with write_study(folder) as writer:
        writer.remove(basis_named(StudyReader(folder), name).step)
        made = layer(Path(folder), name)
        if made.parent.is_symlink() or made.is_symlink():
            raise StudyError(f"'{made}' is a link; it is left alone")
        shutil.rmtree(made, ignore_errors=True)
        with contextlib.suppress(OSError):
            made.parent.rmdir()  # where it was the last


def _study_to_encode(folder: str | Path) -> StudyReader:
    """Open a study whose representations a basis can encode; SettingsError for one without them."""
    study = StudyReader(folder)
    if not study.has("representations"):
        raise SettingsError(f"'{study.path}' has no representations to make a basis of")
    return study

"""The step `features`: stream a study's representations and write all results of docs/method.md 1."""

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import one_pass
from core.analysis.caveats import CONSTANT_NOTE, DEFAULT_NOTE, silent_note
from core.analysis.chunk_scan import ChunkRows, RowStatistics, TopImages
from core.analysis.definitions import class_purity, discriminative_features, tails
from core.analysis.epsilon import Choice, Outcome, choose_epsilon, next_smaller
from core.analysis.kernels import count_bins
from core.bases.basis import basis_named
from core.bases.kinds import SPARSE
from core.common.command_line import PREFIX, TYPED, command_line
from core.common.dataframes import safe_divide
from core.config import BASIS_KINDS, FeaturesConfig
from core.errors import NoDiscriminativeFeatures, SettingsError, StudyError
from core.measures.evaluate import class_column
from core.store import Study
from core.study.progress import Progress
from core.study.reader import StudyReader
from core.study.writer import StepRun, StepWriter

# Measure how strongly features are active: histograms and shares over an evenly spaced sample of rows.


BINS = 100
SAMPLE_ENTRIES = 1 << 22  # 2,048 rows of 2,048 features, 8,192 of 512


def sampled_rows(rows: np.ndarray, n_features: int) -> np.ndarray:
    """Return every k-th of the images for the step `features`, up to 4 million entries, evenly spaced."""
    limit = max(1, SAMPLE_ENTRIES // n_features)
    return rows[:: max(1, -(-len(rows) // limit))]


class Activations:
    """Histogram of each feature of normalised h over the sampled rows, and counts of special entries.

    Bins are evenly spaced in the square root of |h|, narrow near zero and wide at the ends of [-1, 1].

    Args:
        near_zero: share of the row's maximum below which an entry counts as zero (docs/method.md 2.5). All
            entries of a row without a positive entry are near zero.
    """

    def __init__(self, n_features: int, *, near_zero: float = 1e-2, bins: int = BINS):
        self.n_features, self.near_zero, self.bins = n_features, near_zero, bins
        self.counts = np.zeros((n_features, 2 * bins), np.int64)
        self.n_rows = self.n_near_zero = self.n_negative = 0

    def update(self, raw: ChunkRows) -> "Activations":
        """Add raw rows."""
        for here, x in raw.blocks():
            begin = raw.begin[here.start : here.stop + 1]
            near_zero, negative = count_bins(x, begin, raw.columns, self.near_zero, self.counts)
            self.n_near_zero += near_zero
            self.n_negative += negative
        self.n_rows += len(raw)
        return self

    def merge(self, other: "Activations") -> None:
        """Add the counts of `other`."""
        self.counts += other.counts
        self.n_rows += other.n_rows
        self.n_near_zero += other.n_near_zero
        self.n_negative += other.n_negative

    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """Return counts (n_features, bins) int32 and edges (bins + 1,) float64 ascending, without the outer
        bins that no feature reaches; negative bins only if there are negative values."""
        used = np.flatnonzero(self.counts.any(0))
        first = min(used.min(initial=self.bins), self.bins)
        last = max(used.max(initial=self.bins), self.bins) + 1
        root = np.linspace(-1.0, 1.0, 2 * self.bins + 1)
        edges = np.sign(root) * root**2
        return self.counts[:, first:last].astype(np.int32), edges[first : last + 1]

    @property
    def near_zero_share(self) -> float:
        """Share of near-zero entries; NaN without rows."""
        return self.n_near_zero / (self.n_rows * self.n_features) if self.n_rows else np.nan

    @property
    def negative_share(self) -> float:
        """Share of negative entries; NaN without rows."""
        return self.n_negative / (self.n_rows * self.n_features) if self.n_rows else np.nan


# The step `features`: stream a study's representations and write all results of docs/method.md 1.


CONSTANT = 1e-6  # a smaller deviation relative to the mean is rounding: m2 is a difference of large numbers


def compute_features(study: Study, step: StepWriter, config: FeaturesConfig, run: StepRun) -> None:
    """Stream the study's representations and write all results of docs/method.md 1.

    Tables `features`, `classes`, `row_stats`; the firing sets by row (`firing_count`, `firing_features`,
    `firing_excess`) and by feature (`firing_by_feature_ptr`, `firing_by_feature_rows`); `class_counts`,
    `class_means`, `top_images`, `top_values`, `activation_histogram`, `histogram_edges`; `raw_moments`, the
    mean and the standard deviation of each raw feature over the train images (2, n_features).

    Args:
        device: not used: one pass over the rows costs less than transferring them.
    Raises:
        StudyError: no train images. NoDiscriminativeFeatures: D is empty at this epsilon, which is not the
            default, or at every candidate of `auto`.
    """
    train = ~study.is_val
    if not train.any():
        raise StudyError(
            f"'{study.path}' has no train images, and activation rates are defined on them. "
            "Run embed again with images in both splits"
        )
    try:
        choice = _choice(study, config, run.progress)
    except NoDiscriminativeFeatures as error:
        raise of_latents(error, study) from None
    if choice.note:
        run.progress.note(f"note: {choice.note}")
    feature_pass = _scan_study(study, step, config, run.progress, choice=choice)
    try:
        table = _feature_table(study, feature_pass, config)
    except NoDiscriminativeFeatures as error:
        smaller = _smaller_than_default(study, config, run.progress)
        if smaller is None:
            offer = _with_offer(error, study, feature_pass, config, run.progress)
            raise of_latents(offer, study) from None
        run.progress.note(f"note: {smaller.note}")
        feature_pass.store.stop()
        feature_pass = _scan_study(study, step, config, run.progress, choice=smaller)
        table = _feature_table(study, feature_pass, config)
    # Compressing and syncing wait for different resources, so the parts of the result are written in
    # parallel.
    with ThreadPoolExecutor(3) as pool:
        rows = pd.DataFrame(vars(feature_pass.rows), dtype=np.float32)
        waiting = [pool.submit(feature_pass.store.finish), pool.submit(step.table, "row_stats", rows)]
        waiting.append(pool.submit(_write_views, study, step, feature_pass))
        for task in waiting:
            task.result()
    step.table("features", table)
    step.table("classes", _class_table(study))
    step.summary = _summary(feature_pass, table)
    for note in (
        step.summary.get("constant_note"),
        silent_note(feature_pass.rate, low=config.low, high=config.high),
    ):
        if note:
            run.progress.note(f"note: {note}")


@dataclass(frozen=True)
class FeaturePass:
    """The results of the pass over a study."""

    choice: Choice
    rows: RowStatistics
    statistics: one_pass.FeatureStatistics
    sizes: np.ndarray  # (n_groups,) train images in each group
    top: TopImages
    activations: Activations
    store: one_pass.FiringStore

    @property
    def rate(self) -> np.ndarray:
        """A_j in percent of the train images."""
        return 100.0 * self.statistics.firing.sum(1) / self.sizes.sum()

    @property
    def is_constant(self) -> bool:
        """True when no feature differs between the train images, up to rounding."""
        moments = self.statistics.moments
        return moments.n > 1 and bool((moments.std <= CONSTANT * np.abs(moments.mean)).all())

    @property
    def is_flat(self) -> bool:
        """True when all features of every image have the same value, up to rounding."""
        return bool((self.rows.std <= CONSTANT * np.abs(self.rows.mean)).all())


def _scan_study(
    study: Study, step: StepWriter, config: FeaturesConfig, progress: Progress, *, choice: Choice
) -> FeaturePass:
    """Run the pass of the step `features` over representations; firing sets are written as they arrive."""
    array, train, epsilon = study.array("representations"), ~study.is_val, choice.epsilon
    group, sizes = _train_groups(study)
    with progress.stage("features", total=len(array), unit="images") as bar:
        statistics, top = one_pass.FeatureStatistics(array.shape[1], len(sizes)), TopImages(array.shape[1])
        sampled = sampled_rows(np.flatnonzero(train), array.shape[1])
        activations = Activations(array.shape[1], near_zero=config.near_zero)
        store, parts, silent = one_pass.FiringStore(step, array.shape[1]), [], []
        for start, scan, raw in one_pass.scan_chunks(array, group, epsilon=epsilon, sampled=sampled):
            activations.update(raw)
            parts.append(scan.rows)
            silent.append(scan.silent)
            store.add(scan)
            statistics.update(scan, group[start : start + len(scan.count)])
            top.add(scan.by_feature, start)
            bar.update(len(scan.count))
        rows = one_pass.join_rows(parts)
        one_pass.complete_top_images(top, array, rows, _silent_up_to(silent, rows, epsilon))
    return FeaturePass(choice, rows, statistics, sizes, top, activations, store)


def _silent_up_to(silent: list[np.ndarray | None], rows: RowStatistics, epsilon: float) -> float | np.ndarray:
    """The largest activation that does not fire, of each feature where the chunks say so, else of any."""
    silent_thresholds = [one for one in silent if one is not None]
    if len(silent_thresholds) == len(silent):
        return np.max(silent_thresholds, 0)
    return float(rows.threshold(epsilon).max()) * (1 + 1e-6)


def _write_views(study: Study, step: StepWriter, feature_pass: FeaturePass) -> None:
    n_classes = len(study.class_names)
    counts, edges = feature_pass.activations.histogram()
    step.vector("class_counts", feature_pass.statistics.firing[:, :n_classes].astype(np.int32))
    means = safe_divide(feature_pass.statistics.group_sums, feature_pass.sizes[:, None]).T
    step.vector("class_means", means[:, :n_classes].astype(np.float32))  # NaN without train images
    for name, values in zip(("top_images", "top_values"), feature_pass.top.descending(), strict=True):
        step.vector(name, values)
    step.vector("activation_histogram", counts)
    step.vector("histogram_edges", edges)
    raw = feature_pass.statistics.raw_moments
    step.vector("raw_moments", np.stack([raw.mean, raw.std]))


def _summary(feature_pass: FeaturePass, table: pd.DataFrame) -> dict[str, Any]:
    note = {"epsilon_note": feature_pass.choice.note} if feature_pass.choice.note else {}
    note |= {"constant_note": CONSTANT_NOTE} if feature_pass.is_constant else {}
    dead = feature_pass.statistics.moments.m2 + feature_pass.statistics.moments.mean**2 == 0
    count = np.concatenate(feature_pass.store.counts)
    activations = feature_pass.activations
    summary: dict[str, Any] = {"epsilon": feature_pass.choice.epsilon}
    summary["n_discriminative"] = int(np.count_nonzero(table["discriminative"]))
    summary |= {"n_dead": int(np.count_nonzero(dead)), "dead_share": float(dead.mean())}
    summary |= {"mean_firing": float(count.mean()), "share_firing": float((count > 0).mean())}
    summary["near_zero_share"] = activations.near_zero_share
    summary["negative_share"] = activations.negative_share
    summary["sampled_rows"] = activations.n_rows
    return summary | note


def _train_groups(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Return the class code of each train image, and the size of each class.

    Returns:
        group (n_images,) int: position in `study.class_names`, n_classes for a train image without a label,
        -1 for val; sizes (n_classes + 1,) int, number of train images in each group.
    """
    code, n_classes = class_column(study, "label"), len(study.class_names)
    group = np.where(code < 0, n_classes, code)
    sizes = np.bincount(group[~study.is_val], minlength=n_classes + 1)
    return np.where(study.is_val, -1, group), sizes


def _choice(study: Study, config: FeaturesConfig, progress: Progress) -> Choice:
    if config.epsilon == "auto":
        return choose_epsilon(_outcomes(study, config, progress))
    try:
        epsilon = float(config.epsilon)
    except ValueError:
        epsilon = np.nan
    if not epsilon >= 0 or np.isinf(epsilon):
        raise SettingsError(f"epsilon '{config.epsilon}': expected 'auto' or a number >= 0, e.g. 4")
    return Choice(epsilon)


def _smaller_than_default(study: Study, config: FeaturesConfig, progress: Progress) -> Choice | None:
    """Choose as `auto` does where nobody asked for an epsilon and the paper's leaves D empty."""
    if config.epsilon != FeaturesConfig.epsilon:
        return None
    try:
        choice = choose_epsilon(_outcomes(study, config, progress))
    except NoDiscriminativeFeatures:
        return None
    note = DEFAULT_NOTE.format(default=config.epsilon, chosen=choice.epsilon)
    return Choice(choice.epsilon, f"{note} {choice.note}".strip())


def _outcomes(study: Study, config: FeaturesConfig, progress: Progress) -> list[Outcome]:
    """Compute the outcome of each candidate epsilon in an extra pass over the representations."""
    array = study.array("representations")
    with progress.stage("epsilon", total=len(array), unit="images") as bar:
        counts = one_pass.count_epsilons(array, ~study.is_val, bar)
    return counts.outcomes(low=config.low, high=config.high)


def _with_offer(
    error: NoDiscriminativeFeatures,
    study: Study,
    feature_pass: FeaturePass,
    config: FeaturesConfig,
    progress: Progress,
) -> NoDiscriminativeFeatures:
    """Extend the error by the next smaller epsilon that works, and the command that uses it."""
    epsilon = next_smaller(_outcomes(study, config, progress), feature_pass.choice.epsilon)
    if epsilon is None:
        flat = "all features of an image have the same value" if feature_pass.is_flat else "too few fire"
        return NoDiscriminativeFeatures(
            f"none of {len(feature_pass.rate)} features is discriminative at epsilon "
            f"{feature_pass.choice.epsilon:g} or at a smaller candidate of auto: {flat}. "
            "Check the weights and the input size of the encoder, or use more images"
        )
    command = _ready_command(study.path, progress.command, epsilon)
    return NoDiscriminativeFeatures(f"{error}. {epsilon:g} works. Run: {command}", epsilon=epsilon)


def of_latents(error: NoDiscriminativeFeatures, study: Study) -> NoDiscriminativeFeatures:
    """Return the error of the step `features` in a basis with the dictionary size that helps."""
    if study.below is None or error.epsilon is not None:
        return error
    basis = basis_named(StudyReader(study.below), study.path.name)
    size, k = (int(basis.card.get(name) or 1) for name in ("size", "k"))
    if size >= SPARSE * k or basis.kind not in BASIS_KINDS:
        return error
    command = command_line("basis", study.below, kind=basis.kind, name=basis.name, size=SPARSE * k, k=k)
    return NoDiscriminativeFeatures(
        f"none of the {size:,} latents of '{basis.name}', {k:,} active at once, stands out from the others "
        f"of an image. Learn it with more of them: {command}"
    )


def _ready_command(study: Path, command: Sequence[str], epsilon: float) -> str:
    """Return the failed command with another epsilon of `features`, or `features` if another failed.

    >>> _ready_command(Path("my study"), ["python", "-m", "core", "analyze", "s", "--epsilon", "9"], 3.5)
    'python -m core analyze s --epsilon 3.5'
    >>> _ready_command(Path("my study"), ["python", "-m", "core", "features", "s"], 3.5)
    "python -m core features 'my study' --epsilon 3.5"
    """
    words = list(command[len(PREFIX) :])
    words = [*TYPED, *(words if words[:1] == ["analyze"] else ("features", str(study)))]
    if "--epsilon" in words[:-1]:
        del words[(at := words.index("--epsilon")) : at + 2]
    return shlex.join([*words, "--epsilon", f"{epsilon:g}"])


def _feature_table(study: Study, feature_pass: FeaturePass, config: FeaturesConfig) -> pd.DataFrame:
    bounds = {"low": config.low, "high": config.high}
    discriminative = discriminative_features(feature_pass.rate, **bounds)
    purity, top_class = class_purity(feature_pass.statistics.firing[:, : len(study.class_names)])
    names = np.array([*study.class_names, None], dtype=object)
    moments = feature_pass.statistics.moments
    columns = {
        "feature": np.arange(len(discriminative), dtype=np.int32),
        "mean": moments.mean,
        "std": moments.std,
        "activation_rate": feature_pass.rate,
    }
    columns |= {"tail": tails(feature_pass.rate, **bounds), "discriminative": discriminative.numpy()}
    columns |= {"top_class": pd.array(names[top_class], dtype="str"), "purity": purity}
    return pd.DataFrame(columns)


def _class_table(study: Study) -> pd.DataFrame:
    code, n_classes = class_column(study, "label"), len(study.class_names)
    count = {}
    for split, is_val in (("train", False), ("val", True)):
        in_split = (study.is_val == is_val) & (code >= 0)
        count[f"n_{split}"] = np.bincount(code[in_split], minlength=n_classes)
    return pd.DataFrame({"label": pd.array(study.class_names, dtype="str"), **count})

"""What the summary of each step of the workbench may say, as records that `StudyReader.facts` reads.

The record of a step names it and has a field for each entry of its summary that is read by name. Steps of
research have theirs beside them. No torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from core.common.entries import whole_entry
from core.errors import StudyError

GIVEN = "given"  # the family of the encoder of a study that was made from ready representations
GLYPHWORLD = "glyphworld"  # a kind of images


@dataclass(frozen=True)
class StepFacts:
    """What any step says.

    Attributes:
        step: its name. skipped: why it left its results out; "" where it has them or was not run.
    """

    step: ClassVar[str]
    skipped: str = ""


@dataclass(frozen=True)
class SourceFacts:
    """The images that a study was made from.

    Attributes:
        kind: of the source. root: the folder or address that they lie in, if any. described: all that it is
            opened again by.
    """

    kind: str = ""
    root: str = ""
    described: Mapping[str, Any] = whole_entry()


@dataclass(frozen=True)
class CheckpointFacts:
    """What was taken from a checkpoint.

    Attributes:
        layout: "plain", "random" (no weights were read) or the name of the format. matched: tensors used.
        dropped: tensors left out, by group. described: the whole report.
    """

    layout: str = ""
    matched: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    described: Mapping[str, Any] = whole_entry()


MOST_SENTENCES = 3  # on what was assumed, where not all are shown


@dataclass(frozen=True)
class EncoderFacts:
    """What a study remembers of its encoder; of a basis what its latents change.

    Attributes:
        spec, name: as it was named, and in short. layer: that is read. family: of encoders, or GIVEN.
        n_features: None where unknown. parameters: numbers that it computes with; None in studies of before.
        nonnegative, pools_globally: of its representations.
        maps_add_up: stated of a basis. pool, tokens, token_norm: how one vector is read. prefix: features
            that hold the domain. precision: type of its products; None in studies of before.
            map_precision: setting in which its maps are made. n_precise: how many of its last products are
            in single precision in any setting. transform: geometry and pixel statistics; None without an
            encoder.
        fingerprint: of weights, transform and layer. assumptions: one sentence each. severities: how much
            harm each does where it is wrong, 0 for a fact; none in studies of before. report: what was taken
            from its checkpoint.
    """

    spec: str = ""
    name: str = ""
    layer: str | None = None
    family: str = ""
    n_features: int | None = None
    parameters: int | None = None
    nonnegative: bool | None = None
    pools_globally: bool = False
    maps_add_up: bool | None = None
    pool: str | None = None
    tokens: str | None = None
    token_norm: str | None = None
    prefix: int | None = None
    precision: str | None = None
    map_precision: str = "float32"
    n_precise: int = 0
    transform: Mapping[str, Any] | None = None
    fingerprint: str | None = None
    assumptions: tuple[str, ...] = ()
    severities: tuple[int, ...] = ()
    report: CheckpointFacts | None = None

    @property
    def most_harmful(self) -> list[str]:
        """What was assumed and does most harm where it is wrong: MOST_SENTENCES at most, the worst first."""
        if len(self.severities) != len(self.assumptions):
            return []
        pairs = sorted(zip(self.severities, self.assumptions, strict=True), key=lambda one: -one[0])
        return [line for severity, line in pairs if severity > 0][:MOST_SENTENCES]

    @property
    def is_given(self) -> bool:
        """Whether there is none: the study was made from ready representations."""
        return self.family == GIVEN


@dataclass(frozen=True)
class HeadFacts:
    """The encoder's own classifier.

    Attributes:
        why: why there is none. n_outputs: of it. linear: on the representation. assumed: what its outputs
            mean was taken for granted. normalisation_stated: the file says how pixels are normalised.
        activation: between its two layers; "" where the file does not say it, None without a hidden layer.
        single, independent: one output, or one sigmoid an output. unchecked: the architecture of a
            classifier whose outputs nothing checks. source: its name in the file, where that alone is known.
            notes: what was assumed of it, one sentence each. other_stem_paddings: what the padding of the
            encoder's 3x3 first convolution may be besides.
    """

    why: str = ""
    n_outputs: int = 0
    linear: bool = False
    assumed: bool = True
    normalisation_stated: bool = True
    activation: str | None = None
    single: bool = False
    independent: bool = False
    unchecked: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    other_stem_paddings: tuple[int, ...] = ()
    fingerprint: str | None = None


@dataclass(frozen=True)
class PictureFacts:
    """What `embed` found in the pictures themselves; None in studies of before.

    Attributes:
        n_without: images without a picture. n_exact, n_near: images that repeat an earlier one, pixel by
            pixel or nearly. n_cut: images of which not all candidates were compared.
    """

    n_without: int | None = None
    n_exact: int | None = None
    n_near: int | None = None
    n_cut: int | None = None


@dataclass(frozen=True)
class EmbedFacts(StepFacts):
    """Counts of the images, where they come from, and what made their representations.

    Attributes:
        n_skipped: images that could not be read. split_given: the images came with a split. group: the
            column of `attributes` that says which images are of one patient, lesion or sequence; None where
            each is for itself, and in studies of before. n_groups: of how many. n_transparent: images that
            have transparent parts. pictures: what they are themselves. notes: what was assumed or
            ignored, one sentence each.
    """

    step = "embed"
    n_images: int = 0
    n_train: int | None = None
    n_val: int | None = None
    n_skipped: int = 0
    n_classes: int | None = None
    split_given: bool = True
    group: str | None = None
    n_groups: int | None = None
    n_transparent: int = 0
    notes: tuple[str, ...] = ()
    pictures: PictureFacts = PictureFacts()
    source: SourceFacts = SourceFacts()
    encoder: EncoderFacts = EncoderFacts()
    head: HeadFacts = HeadFacts()


@dataclass(frozen=True)
class FeaturesFacts(StepFacts):
    """How often features fire.

    Attributes:
        n_discriminative, n_dead: features of D, and those that are 0 on every train image. dead_share,
            near_zero_share, negative_share: of the features, and of the entries of a sample. mean_firing: on
            an image. share_firing: of images on which one fires. epsilon_note, constant_note: a sentence
            where there is something to say.
    """

    step = "features"
    epsilon: float | None = None
    n_features: int | None = None
    n_discriminative: int | None = None
    n_dead: int | None = None
    dead_share: float | None = None
    mean_firing: float | None = None
    share_firing: float | None = None
    near_zero_share: float | None = None
    negative_share: float | None = None
    epsilon_note: str = ""
    constant_note: str = ""

    @property
    def known_epsilon(self) -> float:
        """Epsilon for what cannot do without. Raises StudyError where the summary does not say it."""
        return _known(self.step, "epsilon", self.epsilon)


@dataclass(frozen=True)
class NeighboursFacts(StepFacts):
    """The spectrum of the representations; k is the number of neighbours, n_train_compared that of train
    images with which every image is compared."""

    step = "neighbours"
    k: int | None = None
    n_train: int | None = None
    n_train_used: int | None = None
    n_train_compared: int | None = None
    spectrum_rows: int | None = None
    rankme: float | None = None
    alpha_req: float | None = None


@dataclass(frozen=True)
class ProbeFacts(StepFacts):
    """The linear probe, or the answer in its place: accuracies are None where no image tells them.

    Attributes:
        n_val: labelled evaluation images. lr, penalty: the one that was chosen. lr_accuracy: of each rate
            that was tried, by its text. described: the whole summary.
    """

    step = "probe"
    top1: float | None = None
    top5: float | None = None
    train_top1: float | None = None
    n_train: int | None = None
    n_val: int = 0
    n_classes: int | None = None
    lr: float | None = None
    penalty: float | None = None
    lr_accuracy: Mapping[str, float] = field(default_factory=dict)
    described: Mapping[str, Any] = whole_entry()

    @property
    def has_top5(self) -> bool:
        """Whether it is known, and more than five classes can be predicted; else the truth is always among
        the five best."""
        return self.top5 is not None and (self.n_classes is None or self.n_classes > 5)


@dataclass(frozen=True)
class AnswerFacts:
    """One answer; activation: between the layers of the encoder's own classifier, as it was found."""

    activation: str = ""


@dataclass(frozen=True)
class AnswersFacts(StepFacts):
    """The encoder's own classifier as an answer, by name."""

    step = "answers"
    answers: Mapping[str, AnswerFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class CrossfitFacts(StepFacts):
    """The labels that were checked out of fold.

    Attributes:
        n_labelled, n_checked, n_listed: images with a label, those whose label was checked, and those of
            them whose label is taken for wrong. n_units: of data, that the checked images are. n_compared:
            images among which the nearest were sought. unchecked_classes: of too few images apart. strength:
            C of the penalty; strength_loss: the log loss of each that was tried, by its text.
    """

    step = "crossfit"
    n_labelled: int = 0
    n_checked: int = 0
    n_listed: int = 0
    n_units: int = 0
    n_compared: int = 0
    unchecked_classes: tuple[str, ...] = ()
    strength: float | None = None
    strength_loss: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LeaderboardFacts(StepFacts):
    """What images were answered out of fold for a leaderboard.

    Attributes:
        folds: a checksum of the images, their labels, units and folds, the same in every study of a
            leaderboard. strength: C of the penalty.
    """

    step = "leaderboard"
    folds: str = ""
    strength: float | None = None


@dataclass(frozen=True)
class CalibrationFacts:
    """What scores without labels are worth on labelled images; None where undefined.

    Attributes:
        n, n_errors: images. score: the calibrated one; auroc, low, high: its, cross-validated. single, sign,
            single_auroc: the best single score, -1 where it is reversed, and its AUROC.
    """

    n: int = 0
    n_errors: int = 0
    score: str | None = None
    auroc: float | None = None
    low: float | None = None
    high: float | None = None
    single: str | None = None
    sign: int | None = None
    single_auroc: float | None = None


@dataclass(frozen=True)
class QualityFacts(StepFacts):
    """How well Q predicts errors, and scores of the whole representation; None where undefined.

    Attributes:
        q_auroc … base_rate: of the evaluation images that are judged. q_rank, n_scores: the rank of Q by
            AUROC, and among how many. mean_firing, share_nonempty: features that fire on an image, and
            images with Q above 0. calibration_sentence: "" where there is nothing to say. described: the
            whole summary.
    """

    step = "quality"
    q_auroc: float | None = None
    q_auroc_interval: tuple[float, float] | None = None
    q_auprc: float | None = None
    q_auprc_interval: tuple[float, float] | None = None
    base_rate: float | None = None
    q_rank: int | None = None
    n_scores: int = 0
    mean_firing: float | None = None
    share_nonempty: float | None = None
    mean_confidence: float | None = None
    near_zero_share: float | None = None
    negative_share: float | None = None
    dead_share: float | None = None
    rankme: float | None = None
    alpha_req: float | None = None
    calibration: CalibrationFacts | None = None
    calibration_sentence: str = ""
    described: Mapping[str, Any] = whole_entry()

    @property
    def says_auroc(self) -> bool:
        """Whether it says the AUROC of Q, if only that it is undefined."""
        return "q_auroc" in self.described


@dataclass(frozen=True)
class MapFacts(StepFacts):
    """The map; shares: of the variance, along its two axes by PCA."""

    step = "map"
    method: str = ""
    n_images: int = 0
    n_fitted: int = 0
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class HeatmapsFacts(StepFacts):
    """How many heatmaps are stored, and of how many images one could not be made."""

    step = "heatmaps"
    n_images: int = 0
    n_maps: int = 0
    n_missing: int = 0


@dataclass(frozen=True)
class MaskReport:
    """What was found while masks were matched with images."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OverlapFacts(StepFacts):
    """The overlap of heatmaps with masks; None where no image has both masks.

    Attributes:
        threshold: the share of its peak from which a heatmap counts. n_undefined: masks left out of means.
        masks: all that they are opened again by; empty where the images bring theirs, or none.
    """

    step = "overlap"
    miou_core: float | None = None
    miou_spurious: float | None = None
    threshold: float = 0.5
    n_undefined: int = 0
    masks: Mapping[str, Any] = field(default_factory=dict)
    mask_report: MaskReport = MaskReport()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ThresholdFacts:
    """What would be explained at another k: single features, and groups of several."""

    k: float = 0.0
    n_explainable: int = 0
    n_joint_groups: int = 0


@dataclass(frozen=True)
class ConceptsFacts(StepFacts):
    """The words of features; None where a study does not say a number.

    Attributes:
        k, alpha: highly activating is above alpha, k standard deviations over the mean. per_k: other k.
        gamma: the cosine above which a feature is interpretable. naming: how words were chosen. clip,
            captions, captioner, n_bank: what compared images with which captions, and their number.
    """

    step = "concepts"
    k: float | None = None
    alpha: float | None = None
    n_images: int | None = None
    n_features: int | None = None
    per_k: tuple[ThresholdFacts, ...] = ()
    n_explainable: int | None = None
    n_explained_features: int = 0
    n_interpretable_features: int | None = None
    n_interpretable_groups: int | None = None
    n_concepts: int | None = None
    highly_activating_share: float | None = None
    gamma: float = 0.8
    naming: str = "falcon"
    clip: str | None = None
    captions: str | None = None
    captioner: str | None = None
    n_bank: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def known_alpha(self) -> float:
        """Alpha for what cannot do without. Raises StudyError where the summary does not say it."""
        return _known(self.step, "alpha", self.alpha)


@dataclass(frozen=True)
class FailuresFacts(StepFacts):
    """The features behind errors; interventions: what removing them does, in words."""

    step = "failures"
    n_failures: int = 0
    interventions: str = ""


@dataclass(frozen=True)
class CausesFacts(StepFacts):
    """Why images are wrong.

    Attributes:
        answer: whose errors they are. complete: of errors drawn from all, not of images that were named
            alone. n_errors, n_right: images that were tried, of n_all_errors and n_all_right. n_passes:
            through the encoder. n_unreadable: images whose pictures could not be read. notes: what was left
            out, and which trials are wrong too often, one sentence each.
    """

    step = "causes"
    answer: str = ""
    complete: bool = False
    n_errors: int = 0
    n_all_errors: int = 0
    n_right: int = 0
    n_all_right: int = 0
    n_passes: int = 0
    n_unreadable: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemediesFacts(StepFacts):
    """What would help.

    Attributes:
        answer: in use, "" where there is none; accuracy_in_use: of it, on n_in_use images that it was not
            fitted to. accuracy, log_loss: of the refit without a remedy, on n images of n_units units, out of
            fold. n_changed, n_in_use_changed: those of the two whose label counts as people corrected it.
        n_undecided: images left out, whose label is wrong and whose class nobody knows. n_corrected: labels
            that people changed or doubt. worst_slice: as text, and worst_class: those that the refit does
            worst on, "" for none, with n_worst_slice and n_worst_class images. best: the remedy that gains
            most, "" where none gains. heads: remedies whose heads are stored, in their order; n_fitted:
            images that these were fitted to. strength: C of their penalty. spurious: features switched off.
        decisions: checksum of what people had decided on labels.
    """

    step = "remedies"
    answer: str = ""
    accuracy_in_use: float | None = None
    accuracy: float | None = None
    log_loss: float | None = None
    n: int = 0
    n_in_use: int = 0
    n_changed: int = 0
    n_in_use_changed: int = 0
    n_units: int = 0
    n_undecided: int = 0
    n_corrected: int = 0
    worst_slice: str = ""
    n_worst_slice: int = 0
    worst_class: str = ""
    n_worst_class: int = 0
    best: str = ""
    heads: tuple[str, ...] = ()
    n_fitted: int = 0
    strength: float | None = None
    spurious: tuple[int, ...] = ()
    decisions: str = ""


@dataclass(frozen=True)
class SearchFacts(StepFacts):
    """The images as CLIP embedded them; default_clip: what a run without a name would fetch."""

    step = "search"
    clip: str = ""
    clip_fingerprint: str = ""
    default_clip: str = ""
    n_images: int = 0
    n_missing: int = 0


Facts = TypeVar("Facts", bound=StepFacts)


def _known(step: str, name: str, value: float | None) -> float:
    if value is None:
        raise StudyError(f"the summary of the step '{step}' does not say {name}. Run the step again")
    return value

"""The steps of a study, in order: one table that everything which runs, lists or names a step reads.

A new step is one row of `STEPS` and one module with its function. Those of research come from its topics.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from core import config
from core.common.topics import topics
from core.config import checks
from core.config.step import IN_BATCHES, Step

OF_HEAD = (  # what `embed` writes of an encoder's own classifier
    *("head_classes", "head_weights", "head_bias", "head_logits"),
    *("head_hidden_weights", "head_hidden_bias", "head_output_weights", "head_output_bias"),
)
STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step(
            name="embed",
            title="Representations",
            doing="Computing representations",
            summary="compute the representations of all images",
            example="embed studies/mine --images photos --encoder torchvision:resnet50",
            weight=30,
            config=config.EmbedConfig,
            function="core.pipeline.embed:run_embed",
            outputs=(
                *("images", "representations", "thumbnails", "thumbnail_sizes", "skipped", "attributes"),
                *("pictures", "picture_values", "picture_prints"),
                *OF_HEAD,
            ),
            options=None,
            running=(*IN_BATCHES, "strict", "no_maps"),
            makes_study=True,
            check=checks.check_embed_options,
            alternatives=("encoder", "representations"),
        ),
        Step(
            name="features",
            title="Features",
            doing="Counting which features fire",
            summary="find the features that fire, and which of them are discriminative",
            example="features studies/mine --epsilon auto",
            weight=1,
            config=config.FeaturesConfig,
            function="core.analysis.features_step:compute_features",
            inputs=("representations", "images"),
            needs=("embed",),
            outputs=(
                *("features", "classes", "row_stats", "firing_count", "firing_features", "firing_excess"),
                *("firing_by_feature_ptr", "firing_by_feature_rows", "class_counts", "class_means"),
                *("top_images", "top_values", "activation_histogram", "histogram_edges", "raw_moments"),
            ),
            options=("epsilon",),
            in_basis=True,
        ),
        Step(
            name="neighbours",
            title="Neighbours",
            doing="Finding nearest neighbours",
            summary="find the train images nearest to each evaluation image, and the principal components",
            example="neighbours studies/mine",
            weight=1,
            config=config.NeighboursConfig,
            function="core.analysis.neighbours:compute_neighbours",
            inputs=("representations", "images", "pictures"),
            needs=("embed",),
            outputs=("neighbours", "neighbour_similarity", "nearest_train", "principal_scores"),
        ),
        Step(
            name="probe",
            title="Linear probe",
            doing="Training the linear probe",
            summary="train the linear probe that decides which images are classified correctly",
            example="probe studies/mine",
            weight=1.5,
            config=config.ProbeConfig,
            function="core.analysis.probe_step:compute_probe",
            inputs=("representations", "images"),
            inputs_by_settings=lambda config: ("features",) if config.curves else (),  # removed by rate
            needs=("embed",),
            not_remembered=("lr_candidates", "strengths"),  # no options: those of this version
            outputs=("probe", "probe_weights", "probe_bias", "val_logits", "probe_curves"),
            needs_labels=True,
        ),
        Step(
            name="answers",
            title="The encoder's own classifier",
            doing="Reading the encoder's own classifier",
            summary="take the encoder's own classifier as the answer, and list, add and remove answers",
            example="answers studies/mine --add predictions.csv --name deployed",
            weight=0.5,
            config=config.AnswersConfig,
            function="core.answers.requests:compute_answers",
            inputs=("images", "representations", *OF_HEAD),
            external_fingerprints="core.answers.requests:fingerprints",
            needs=("embed",),
            outputs=(
                *("answer_head", "answer_head_weights", "answer_head_bias"),
                *("answer_head_outputs", "answer_head_gradients"),
            ),
            needs_labels=True,
            optional=True,
        ),
        Step(
            name="crossfit",
            title="Checked labels",
            doing="Checking every label",
            summary="check every label by linear probes that have not seen its image",
            example="crossfit studies/mine",
            weight=1.5,
            config=config.CrossfitConfig,
            function="core.analysis.crossfit_step:compute_crossfit",
            inputs=("representations", "images", "pictures", "answer_head"),
            needs=("embed",),
            not_remembered=("strengths",),  # no option: those of this version
            outputs=(
                *("answer_crossfit", "label_issues", "crossfit_classes", "crossfit_probabilities"),
                *("crossfit_label_probability", "crossfit_fold", "crossfit_weights"),
            ),
            needs_labels=True,
            optional=True,
        ),
        Step(
            name="quality",
            title="Quality scores",
            doing="Scoring and evaluating",
            summary="compute Q-Scores and baseline scores, and evaluate how well they predict errors",
            example="quality studies/mine",
            weight=3,
            formulas=2,
            config=config.QualityConfig,
            function="core.analysis.quality_step:compute_quality",
            inputs=(
                *("representations", "images", "features", "firing_features", "raw_moments"),
                *("probe", "probe_weights", "neighbours", "principal_scores"),
            ),
            needs=("embed", "features"),
            outputs=(
                *("quality", "quality_metrics", "quality_curves", "quality_by_cause", "group_counts"),
                "quality_calibration",
                *("class_means_correct", "class_means_misclassified", "sparsity_curves", "sparsity_ranks"),
            ),
            needs_labels=True,
            in_basis=True,
        ),
        Step(
            name="heatmaps",
            title="Heatmaps",
            doing="Drawing where features look",
            summary="compute and store heatmaps of the discriminative features",
            example="heatmaps studies/mine --masks masks",
            weight=30,
            config=config.HeatmapsConfig,
            function="core.analysis.heatmaps_step:compute_heatmaps",
            inputs=("representations", "images", "features", "firing_features"),
            external_fingerprints="core.analysis.input_masks:mask_inputs",
            needs=("embed", "features"),
            outputs=(
                *("heatmap_rows", "heatmap_count", "heatmap_fallback", "heatmap_features", "heatmap_maps"),
                *("heatmap_peaks", "heatmap_floors", "heatmaps_missing"),
            ),
            running=IN_BATCHES,
            shared=True,
            in_basis=True,
        ),
        Step(
            name="overlap",
            title="Overlap with masks",
            doing="Comparing heatmaps with masks",
            summary="compare heatmaps with core and spurious masks (mIoU)",
            example="overlap studies/mine --salient-imagenet masks --annotations spurious_features.csv",
            weight=12,
            formulas=1,
            config=config.OverlapConfig,
            function="core.analysis.overlap_step:compute_overlap",
            inputs=("images", "features", "firing_features", "heatmap_maps", "probe"),
            external_fingerprints="core.analysis.input_masks:mask_inputs",
            needs=("embed", "features", "heatmaps"),
            outputs=(
                *("overlap", "overlap_summary", "overlap_by_class", "overlap_by_feature", "overlap_sweep"),
                "overlap_controls",
            ),
            options=("masks", "salient_imagenet"),
            running=IN_BATCHES,
            check=checks.check_overlap_options,
            in_basis=True,
        ),
        Step(
            name="concepts",
            title="Concepts",
            doing="Finding words for features",
            summary="explain features and groups of features in words (FALCON)",
            example="concepts studies/mine --captions captions.csv --clip ViT-B-32@openai",
            weight=12,
            formulas=1,
            config=config.ConceptsConfig,
            function="core.concepts.concepts_step:compute_concepts",
            inputs=("representations", "images"),
            external_fingerprints="core.concepts.clip_and_captions:clip_and_caption_inputs",
            needs=("embed",),
            outputs=(
                *("concepts", "explained", "groups", "captions", "highly_activating", "counterfactuals"),
                "concept_features",
            ),
            options=("captions", "clip", "k", "min_images"),
            not_remembered=("features", "explainable", "groups"),  # which units, not how
            in_basis=True,
        ),
        Step(
            name="failures",
            title="Failures",
            doing="Finding the features behind errors",
            summary="find the features behind the probe's errors",
            example="failures studies/mine --top 5",
            weight=0.5,
            formulas=1,
            config=config.FailuresConfig,
            function="core.concepts.failures:compute_failures",
            inputs=("representations", "images", "probe", "probe_weights", "concepts"),
            needs=("embed", "probe"),
            outputs=(
                *("failures", "failure_pairs", "interventions", "interventions_by_cause"),
                *("feature_means", "planted_attributes"),
            ),
            running=(),
            not_remembered=("explained",),
            in_basis=True,
        ),
        Step(
            name="search",
            title="Search index",
            doing="Embedding the images with CLIP",
            summary="embed all images with CLIP, and find those that match a text",
            example='search studies/demo "a red ball on grass" --top 10',
            config=config.SearchConfig,
            function="core.concepts.search_index:compute_index",
            inputs=("images",),
            external_fingerprints="core.concepts.search_index:clip_fingerprint",
            needs=("embed",),
            outputs=("clip_images",),
            options=("clip",),
            running=("device", "workers"),
            shared=True,
        ),
        Step(
            name="map",
            title="Map",
            doing="Placing every image on a map",
            summary="place every image on a map where similar images are close together",
            example="map studies/mine",
            weight=8,
            config=config.MapConfig,
            function="core.analysis.map_step:compute_map",
            inputs=("representations", "images"),
            needs=("embed",),
            outputs=("map_pca", "map_umap"),
            running=(),
            options=("method",),
            check=checks.check_map_options,
            in_basis=True,
            shows_through=True,
        ),
        Step(
            name="rotation",
            title="Turned pictures",
            doing="Looking at turned pictures",
            summary="find pictures that are turned: which of four turns the answer is most confident of",
            example="rotation studies/mine",
            config=config.RotationConfig,
            function="core.pictures.rotation:compute_rotation",
            inputs=("representations", "images", "probe", "probe_weights", *OF_HEAD),
            needs=("embed",),
            outputs=("rotation",),
            running=IN_BATCHES,
            needs_labels=True,
            on_request=True,
        ),
        Step(
            name="causes",
            title="Causes of errors",
            doing="Finding out why images are wrong",
            summary="find out why images are wrong, by trials on errors and on right images",
            example="causes studies/mine",
            weight=0,
            config=config.CausesConfig,
            function="core.pictures.causes_step:compute_causes",
            inputs=("images", "representations", "probe", "answer_head", "label_issues", "pictures"),
            external_fingerprints="core.pictures.causes_step:outside",
            needs=("embed",),
            outputs=("causes", "cause_controls", "cause_rates", "cause_rows", "cause_gaps"),
            options=("answer", "errors", "right"),
            running=IN_BATCHES,
            not_remembered=("image",),
            needs_labels=True,
            on_request=True,
        ),
        Step(
            name="remedies",
            title="What would help",
            doing="Trying what would help",
            summary="find out what would help: refit the head under each remedy, out of fold",
            example="remedies studies/mine",
            weight=0,
            config=config.RemediesConfig,
            function="core.analysis.remedies_step:compute_remedies",
            inputs=(
                *("images", "representations", "pictures", "attributes", "firing_features"),
                *("overlap_by_feature", "probe", "answer_head"),
            ),
            external_fingerprints="core.analysis.judged_images:decided_outside",
            needs=("embed",),
            outputs=("remedies", "remedy_images", "remedy_classes", "remedy_weights"),
            options=("answer", "features", "feature_scale"),
            not_remembered=("strengths",),  # no option: those of this version
            needs_labels=True,
            on_request=True,
        ),
        *(step for topic in topics() for step in topic.steps),
    )
}

FORMULAS = {step.name: step.formulas for step in STEPS.values() if step.formulas}


def in_analysis() -> list[str]:
    """List the steps of a study that an analysis runs, by name: all but those made on request."""
    return [name for name, step in STEPS.items() if not step.on_request]


def of_basis() -> list[str]:
    """The names of a study's steps, in an analysis, of which each basis has results of its own."""
    return [name for name in in_analysis() if STEPS[name].is_of_basis]


# What commands write into a study, which are no steps.
BESIDE = {"leaderboard": ("leaderboard", "leaderboard_weights")} | {
    name: items for topic in topics() for name, items in topic.items.items()
}


def step_of(item: str) -> str | None:
    """The name of the step or command that writes an item of a study; None for an item that none writes."""
    outputs = {name: step.outputs for name, step in STEPS.items()} | BESIDE
    return next((name for name, items in outputs.items() if item in items), None)


def settings_of(step: str, options: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> Any:
    """Look up a step of a study and fill its config: `options` (others ignored) over `base` over defaults."""
    row = STEPS[step]
    names = {field.name for field in dataclasses.fields(row.config)}
    names -= {field.name for field in dataclasses.fields(config.RunOptions)}  # not the probe's
    values = {**(base or {}), **options}
    settings = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in names and value is not None
    }
    row.check(settings)
    return row.config(**settings)


def kept_settings(step: str, before: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a step that a study remembers of its last run, for a new run with `options`."""
    row = STEPS[step]
    dropped = {*row.not_remembered, *(row.alternatives if any(map(options.get, row.alternatives)) else ())}
    return {name: value for name, value in before.items() if name not in dropped}

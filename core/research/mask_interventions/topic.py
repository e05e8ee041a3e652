"""What the topic adds to the workbench. No torch."""

from core.config.step import IN_BATCHES, Step
from core.research.mask_interventions.config import MaskInterventionsConfig
from core.topics import Topic

TOPIC = Topic(
    steps=(
        Step(
            name="mask-interventions",
            title="Mask interventions",
            doing="Altering objects and backgrounds",
            summary="blur, remove and swap object or background by mask, and measure how features respond",
            example="mask-interventions studies/mine --sample 300",
            formulas=1,
            config=MaskInterventionsConfig,
            function="core.research.mask_interventions.step:compute_mask_interventions",
            inputs=("features", "firing_features", "raw_moments", "probe_weights", "overlap_by_feature"),
            outside="core.research.mask_interventions.step:masks_of_overlap",
            needs=("embed", "features", "overlap"),
            outputs=("mask_responses", "mask_contrasts", "mask_groups", "mask_agreement", "mask_accuracy"),
            options=("sample",),
            running=IN_BATCHES,
            on_request=True,
        ),
    )
)

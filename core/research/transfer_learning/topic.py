"""What the topic adds to the workbench. No torch."""

from core.config.step import Step
from core.research.transfer_learning.config import FewShotConfig, check_few_shot_options
from core.topics import Topic

TOPIC = Topic(
    steps=(
        Step(
            name="few-shot",
            title="Few-shot accuracy",
            doing="Training probes on a few images of each class",
            summary="measure the accuracy of probes that are trained on a few images of each class",
            example="few-shot studies/mine --shots 5,10 --draws 10",
            config=FewShotConfig,
            function="core.research.transfer_learning.few_shot:compute_few_shot",
            inputs=("representations", "images"),
            needs=("embed",),
            outputs=("few_shot",),
            needs_labels=True,
            check=check_few_shot_options,
            on_request=True,
        ),
    ),
    options={"compare of estimates": "core.research.transfer_learning.compared_estimates:ComparedEstimates"},
    commands=("core.research.transfer_learning.commands:add_transfer_probe",),
)

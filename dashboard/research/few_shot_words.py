"""What probes on a few images of each class reach, beside the accuracy on the Overview."""

from core.common.formatting import counted, percent
from core.research.transfer_learning.facts import FewShotFacts
from core.store import Study


def few_shot_words(study: Study) -> str:
    """Say how accurate probes on a few images of each class are: "trained on 5 images a class: 51.2 %";
    empty without the step `few-shot`.
    """
    parts = []
    for shots, result in study.facts(FewShotFacts).shots.items():
        between = ""
        if result.low is not None and result.high is not None:
            between = f" ({100 * result.low:.1f} to {100 * result.high:.1f})"
        left = len(result.left_out)
        without = f", {counted(left, 'smaller class', 'smaller classes')} left out" if left else ""
        parts.append(f"{shots}: {percent(result.accuracy)}{between}{without}")
    if not parts:
        return ""
    first, *others = parts
    first = first.replace(":", " images a class:", 1)
    return "; ".join([f"trained on {first}", *(f"on {part}" for part in others)])

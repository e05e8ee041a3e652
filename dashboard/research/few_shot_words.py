"""What probes on a few images of each class reach, beside the accuracy on the Overview."""

from core.common.formatting import counted, percent
from core.store import Study


def few_shot_words(study: Study) -> str:
    """Say how accurate probes on a few images of each class are: "trained on 5 images a class: 51.2 %";
    empty without the step `few-shot`.
    """
    parts = []
    for shots, result in study.summary("few-shot").get("shots", {}).items():
        ends = [result.get(end) for end in ("low", "high")]
        between = "" if None in ends else f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})"
        left = len(result.get("left_out", ()))
        without = f", {counted(left, 'smaller class', 'smaller classes')} left out" if left else ""
        parts.append(f"{shots}: {percent(result['accuracy'])}{between}{without}")
    if not parts:
        return ""
    first, *others = parts
    first = first.replace(":", " images a class:", 1)
    return "; ".join([f"trained on {first}", *(f"on {part}" for part in others)])

"""What one feature does on the images of a slice: classes, strongest images, similar features, probe.

All results are exact, from the stored firing sets and probe weights. No torch.
"""

from __future__ import annotations

from core.slices.features.classes import (
    class_firing,
    feature_classes,
    leading_classes,
    more_often_on,
    most_common_classes,
)
from core.slices.features.images import (
    LEVELS,
    at_levels,
    feature_activations,
    firing_pairs,
    firing_rows,
    strongest_images,
)
from core.slices.features.logits import class_push
from core.slices.features.of_image import Decision, decision, features_of_image
from core.slices.features.similar import similar_features

__all__ = [
    "LEVELS",
    "Decision",
    "at_levels",
    "class_firing",
    "class_push",
    "decision",
    "feature_activations",
    "feature_classes",
    "features_of_image",
    "firing_pairs",
    "firing_rows",
    "leading_classes",
    "most_common_classes",
    "more_often_on",
    "similar_features",
    "strongest_images",
]

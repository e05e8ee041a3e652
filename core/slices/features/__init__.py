"""One feature on the images of a slice: classes, strongest images, similar features, probe.

All results are exact, from the stored firing sets and probe weights. No torch.
"""

from core.slices.features.class_logits import class_push
from core.slices.features.classes import (
    FEW_OF_A_CLASS,
    FiringClass,
    class_firing,
    classes_tell,
    feature_classes,
    firing_class,
    more_often_on,
    most_common_classes,
    partly_labelled,
)
from core.slices.features.images import (
    LEVELS,
    at_levels,
    feature_activations,
    firing_pairs,
    firing_rows,
    strongest_images,
)
from core.slices.features.similar import likeness_of_strongest, similar_features

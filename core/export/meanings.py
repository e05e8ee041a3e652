"""What the columns of exported tables mean, in a few words each."""

from __future__ import annotations

from core.common.score_names import SCORES

MEANINGS = {
    "image_id": "image, as the study names it",
    "path": "file of the image, relative to the folder of images",
    "split": "train, or val for evaluation images",
    "label": "class of the image; empty where it is not known",
    "feature": "number of a feature",
    "mean": "mean activation of the feature over train images, representations scaled to length 1",
    "std": "standard deviation of the same",
    "activation_rate": "percentage of the train images on which the feature fires",
    "tail": "where the feature stands among all by activation rate: lower, middle or upper",
    "discriminative": "whether the feature fires neither rarely nor nearly everywhere",
    "top_class": "class that most of the train images belong to on which the feature fires",
    "purity": "share of those images that belong to it; of a concept: share of the feature's 16 strongest "
    "evaluation images that have it",
    "concept": "class or word of an attribute that images have: column=word",
    "base_rate": "share of the evaluation images that have the concept: what no knowledge reaches",
    "ap": "average precision of the feature for the concept on evaluation images",
    "inverted_feature": "feature whose negative stands best for the concept",
    "inverted_ap": "average precision of that negative",
    "probe_features": "five features that a regression for the concept uses",
    "probe_ap": "average precision of that regression on evaluation images",
    "n_firing": "number of features that fire on the image",
    "n_firing_discriminative": "number of discriminative features that fire on the image",
    "predicted": "class that the answer gives to the image",
    "correct": "1 where the predicted class is the label, 0 where it is not",
    "confidence": "of an image: largest softmax probability; of a caption: confidence of the match",
    "true": "class of the image",
    "top5_correct": "1 where the label is among the five most probable classes",
    "calibrated": "probability that the answer is wrong, fitted to a few labels",
    "mask": "core (the object) or spurious (the background)",
    "paper": "mIoU as the paper defines it",
    "binary": "mIoU of the thresholded heatmap",
    "soft": "mIoU of the heatmap as it is",
    "energy": "of an overlap: share of the heat inside the mask; of an image: energy of the logits",
    "group": "a feature, or features joined by _",
    "rank": "place in a list, from 1",
    "word": "word or phrase",
    "kind": "word or phrase",
    "score": "of a word: how well it describes the group; of metrics: name of the score",
    "kept": "whether the word is kept as a name",
    "discarded_by": "why it is not",
    "elsewhere": "share of other images whose captions hold the word",
    "under_heat": "whether the word was seen under the heatmap",
    "n_images": "number of images",
    "clip_cosine": "mean CLIP cosine of the crops and their captions",
    "interpretable": "whether the words of the group passed the test",
    "caption": "caption near to a crop of the image",
    "cosine": "CLIP cosine of the two",
    "contribution": "what the feature adds to the logit of the predicted class over the true one",
    "side": "predicted or true: the class that the feature speaks for",
    "words": "what the feature is called",
    "reason": "why the image was left out",
    "neighbour": "near train image",
    "similarity": "cosine of the two representations",
    **{
        f"{name}{end}": what.format(text)
        for name, text in {
            "effect": "change of activation, in standard deviations, by what the word names",
            "flip": "the share of the images whose answer changes",
            "flip_rate": "share of the images whose answer changes",
            "to_true": "share of the images whose answer becomes the label",
            "difference": "the flip rate less that of random features",
            "auc": "how well the word tells images on which the group fires from others (chance 0.5)",
            "twin_auc": "the same between images and their altered twins",
        }.items()
        for end, what in {"": "{}", "_low": "lower end of {}", "_high": "upper end of {}"}.items()
    },
    "n_pairs": "number of scenes with and without what the word names",
    "selectivity": "share of the other words whose scenes move the group less",
    "order": "by what the features are ordered that are removed",
    "removed": "number of features removed",
    "images": "kind of images",
    "n": "number of images",
    "suggested": "class that is predicted instead of the label",
    "label_quality": "probability of the label",
    "wrong_label": "class that people say the image has instead of its label",
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
    "note": "what people wrote",
    "tags": "tags that people gave",
    "name": "name that people gave",
}


def meaning(column: str) -> str:
    """Return what a column of an exported table means; '' for one of the image source."""
    return MEANINGS.get(column) or (SCORES[column].meaning if column in SCORES else "")

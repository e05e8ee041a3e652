"""Meanings of the numbers on the pages of features; `tooltips.py` serves them with all others."""

# key -> what it means, its formula (LaTeX, or empty), its source
FEATURE_TEXTS: dict[str, tuple[str, str, str]] = {
    "named_from": (
        "Under the heat: CLIP sees the words in at least 45 % of the crops around the feature's heat. Scene: "
        "CLIP sees them in the whole images, but not in as many crops: they may name what lies around.",
        r"\tfrac{1}{|T|}\sum_{i \in T} \mathbf{1}[P_{iw}^{crop} \ge \tfrac12] \ge 0.45",
        "docs/method.md 6.12",
    ),
    "feature_order": (
        "Most telling: with a filter, how much more often a feature fires on these images than on others; "
        "without one, how many images of its most common class it fires on. Purest: by that class's share.",
        "",
        "docs/method.md",
    ),
    "slice_rate": (
        "Share of these images on which the feature fires, counted from the stored firing sets.",
        r"\tfrac{1}{|S|}\sum_{i \in S} \mathbf{1}[j \in L_i]",
        "docs/method.md",
    ),
    "rate_difference": (
        "Share of these images on which the feature fires minus that of the images they are compared with, "
        "in percentage points.",
        "",
        "interval: Newcombe 1998",
    ),
    "q_value": (
        "The smallest false discovery rate at which the difference is significant: Fisher's exact test, "
        "corrected over all features. Below 0.05 it is hardly chance.",
        "",
        "Benjamini & Hochberg 1995",
    ),
    "likeliest_class": (
        "The class on the largest share of whose images the feature fires, of all classes.",
        "",
        "docs/method.md",
    ),
    "slice_purity": (
        "Among the images on which the feature fires, of all classes, the share of the most common class.",
        "",
        "docs/method.md",
    ),
    "class_push": (
        "What the feature adds to the probe's logit of a class, compared with the average class: its mean "
        "activation on the images on which it is largest, times its weight.",
        r"\bar{h}_j\,(w_{cj} - \tfrac{1}{C}\sum_{c'} w_{c'j})",
        "docs/method.md",
    ),
    "similar_features": (
        "Of the images on which at least one of the two features fires, the share on which both do.",
        r"\frac{|A \cap B|}{|A \cup B|}",
        "Jaccard 1912",
    ),
    "class_profile": (
        "Correlation over classes of the two features' mean activations on the train images.",
        "",
        "docs/method.md",
    ),
    "domain_purity": (
        "Among the images on which the feature fires, the share of the most common domain. In an encoder "
        "with a domain prefix, features of the rest should be near the base rate.",
        "",
        "docs/method.md 14.3",
    ),
    "feature_part": (
        "Whether the feature belongs to the domain prefix or to the rest of the representation.",
        "",
        "docs/method.md 14.1",
    ),
    "domain_probe": (
        "How often a probe names the domain of an evaluation image: the better of a linear probe and a small "
        "network. Guessing the most common domain gives the base rate.",
        "",
        "docs/method.md 14.3",
    ),
    "map_rest": (
        "The two directions in which the features after the domain prefix vary most, at length 1. Where "
        "colours of the domains mix, the plane tells nothing of the domain.",
        "",
        "docs/method.md 14.3",
    ),
    "map_prefix": (
        "The two directions in which the features of the domain prefix vary most, at length 1.",
        "",
        "docs/method.md 14.3",
    ),
    "map_rest_umap": (
        "UMAP of the features after the domain prefix, at length 1: it keeps neighbours. Where the domains "
        "have no groups of their own, an image's neighbours do not tell its domain.",
        "",
        "docs/method.md 14.3",
    ),
    "map_prefix_umap": (
        "UMAP of the features of the domain prefix, at length 1: it keeps neighbours.",
        "",
        "docs/method.md 14.3",
    ),
    "feature_heat": (
        "Share of the feature's heat that lies on masks, divided by what a heatmap that is the same "
        "everywhere has there: above 1 it prefers them. Over all images with masks, with 95 % intervals.",
        "",
        "docs/method.md",
    ),
    "push": (
        "By how much the lead of the answer over the truth falls, on average over these images, when the "
        "feature is set to its mean over the train images.",
        r"(h_j - m_j)\,(U'_{aj} - U'_{tj})",
        "docs/method.md 6.8",
    ),
}

"""Meanings of all numbers: one place for tooltips, written for people; formula and source with each."""

from dataclasses import dataclass

from dashboard.components.feature_tooltips import FEATURE_TEXTS
from dashboard.components.plain_text import plain as plain
from dashboard.components.score_tooltips import SCORE_TEXTS

Q_PAPER = "Kalibhat et al., AAAI 2024 (arXiv 2203.01881)"
FALCON = "Kalibhat et al., ICML 2023 (arXiv 2307.10504)"
DISSERTATION = FALCON + "; Kalibhat's dissertation, chapter 4"
BOOK = "docs/method.md"  # where no paper is the source


@dataclass(frozen=True)
class Tooltip:
    """The meaning of a number, its formula (LaTeX without dollar signs, or empty) and its source."""

    what: str
    formula: str = ""
    source: str = ""


TEXTS: dict[str, Tooltip] = {
    "accuracy": Tooltip(
        "Share of the evaluation images whose class the linear probe predicts. The probe is a logistic "
        "regression trained on the frozen representations of the train split. Base rate: always guessing "
        "the most common class.",
        source="linear evaluation, " + Q_PAPER,
    ),
    "q_score": Tooltip(
        "How far the discriminative features that fire on an image rise above the image's own mean. "
        "Needs no labels. It is 0 where no discriminative feature fires.",
        r"Q_i = \mathrm{mean}_{j \in L_i \cap D}\,(h_{ij} - \mu_i)",
        Q_PAPER + ", eq. 1",
    ),
    "q_auroc": Tooltip(
        "Chance that a correctly classified image has a higher Q-Score than a misclassified one. 0.5 is "
        "guessing, 1 is perfect, below 0.5 points the wrong way. In brackets: 95 % interval over 1,000 "
        "bootstrap resamples of the evaluation images.",
        source=Q_PAPER + ", fig. 4",
    ),
    "q_rank": Tooltip(
        "Place of the Q-Score among all scores of this study, ordered by AUROC. A score marked as needing "
        "labels uses the probe, so it has seen the classes.",
        source=BOOK,
    ),
    "auprc": Tooltip(
        "Average precision of the score with correctly classified images as the positives. Read it against "
        "its base rate, which is the accuracy: at 80 % accuracy a useless score already has 0.80.",
        source="average precision as in scikit-learn",
    ),
    "auprc_error": Tooltip(
        "Average precision for finding the misclassified images. Its base rate is the error rate.",
        source="average precision as in scikit-learn",
    ),
    "aurc": Tooltip(
        "Error among the images kept when the lowest-scored ones are put aside, averaged over how many are "
        "kept. Lower is better.",
        source="Geifman et al., ICLR 2019",
    ),
    "augrc": Tooltip(
        "Chance that an image is kept and wrong when the lowest-scored ones are put aside, averaged over how "
        "many are kept. Lower is better; a score without skill has half of the error rate.",
        r"(1 - \mathrm{AUROC})\, a (1 - a) + (1 - a)^2 / 2,\ a = \text{accuracy}",
        "Traub et al., NeurIPS 2024",
    ),
    "mean_firing": Tooltip(
        "How many features fire on an image, on average over the evaluation images. A feature fires when it "
        "exceeds the image's mean by epsilon standard deviations.",
        r"L_i = \{j : h_{ij} > \mu_i + \varepsilon\,\sigma_i\}",
        Q_PAPER,
    ),
    "discriminative": Tooltip(
        "Features that fire neither rarely nor nearly everywhere: activation rate between the 50th and the "
        "95th percentile of all features, and above 0. The Q-Score looks only at these.",
        r"D = \{j : P_{50}(A) \le A_j \le P_{95}(A),\; A_j > 0\}",
        Q_PAPER,
    ),
    "activation_rate": Tooltip(
        "Percentage of the train images on which the feature fires.",
        r"A_j = \tfrac{100}{N}\sum_i \mathbf{1}[j \in L_i]",
        Q_PAPER,
    ),
    "tail": Tooltip(
        "Lower tail: fires on few images, often one picture's own detail. Middle: discriminative. "
        "Upper tail: fires on very many images, a general trait.",
        source=Q_PAPER,
    ),
    "purity": Tooltip(
        "Among the train images on which the feature fires, the share of the most common class.",
        source=Q_PAPER + ", fig. 1",
    ),
    "epsilon": Tooltip(
        "How many standard deviations above the image's mean a feature must lie to count as firing.",
        source=Q_PAPER + ", default 4",
    ),
    "excess": Tooltip(
        "How far the feature lies above the image's mean activation, after each representation is scaled to "
        "length 1.",
        r"h_{ij} - \mu_i",
        Q_PAPER,
    ),
    "n_firing": Tooltip("Number of features that fire on the image.", r"|L_i|", Q_PAPER),
    "n_firing_discriminative": Tooltip(
        "Number of discriminative features that fire on the image.", r"|L_i \cap D|", Q_PAPER
    ),
    "q_all_features": Tooltip(
        "The Q-Score over all firing features, not only the discriminative ones.", source=BOOK
    ),
    "norm": Tooltip("Length of the raw representation.", r"\lVert h_i \rVert_2", BOOK),
    "max_activation": Tooltip("Largest entry of the scaled representation.", r"\max_j h_{ij}", BOOK),
    "hoyer": Tooltip(
        "Sparsity of the representation: 1 when a single feature is active, 0 when all are equal.",
        r"\frac{\sqrt{r} - \lVert h\rVert_1 / \lVert h\rVert_2}{\sqrt{r} - 1}",
        "Hoyer 2004",
    ),
    "knn_similarity": Tooltip(
        "Mean cosine similarity to the 10 nearest train images. Evaluation images only.", source=BOOK
    ),
    "confidence": Tooltip(
        "Probability that the probe gives to its own prediction. Uses labels.",
        r"\max_c p_c",
        "Hendrycks & Gimpel, ICLR 2017",
    ),
    "margin": Tooltip(
        "Probability of the first choice minus that of the second. Uses labels.", r"p_{(1)} - p_{(2)}", BOOK
    ),
    "energy": Tooltip(
        "Log-sum-exp of the classifier's logits; higher means surer. Uses labels.",
        r"\log\sum_c e^{z_c}",
        "Liu et al., NeurIPS 2020",
    ),
    "percentile": Tooltip(
        "Where the image stands among all images of its split: 90 means that 90 % of them score lower."
    ),
    "combine": Tooltip(
        "How the maps of several features become one. Mean: of the maps, each scaled to 1 (the paper's way). "
        "Sum: of the raw maps, so a strong channel dominates. Largest: where any feature looks. Smallest: "
        "where all of them look.",
        source="Grad-CAM, Selvaraju et al. 2017; " + Q_PAPER,
    ),
    "masks": Tooltip(
        "Core is the object itself, spurious what merely comes with it, as people or the planted world say. "
        "What lies outside the core mask is dimmed; the spurious mask is hatched.",
        source="Salient ImageNet, Singla & Feizi, ICLR 2022",
    ),
    "object_preference": Tooltip("Share of the heat on the object minus its share of the image; 0: uniform."),
    "lone_features": Tooltip("No feature of the other study shares 20 % of the images on which it fires."),
    "features_along": Tooltip("It is there where a feature shares 20 % of the images on which either fires."),
    "set_apart": Tooltip(
        "Features and words on significantly more of these images than of the others of the filter (q 5 %)."
    ),
    "miou": Tooltip(
        "How far heatmap and mask cover each other: 1 is the same region, 0 none in common.",
        r"\sum_{R \cap B} G \;\Big/\; \sum_{R \cup B} G,"
        r"\qquad R = \{G \ge t\},\quad B = \{M \ge 0.5\}",
        Q_PAPER + ", figs 6 and 7",
    ),
    "overlap_controls": Tooltip(
        "The same masks with other heatmaps than the encoder's: random noise, the same everywhere, a blob in "
        "the centre, and (the best possible) the mask itself, as coarse as the encoder's maps.",
        source=BOOK,
    ),
    "feature_verdict": Tooltip(
        "A feature is called core when the share of its heat on core masks, divided by what a uniform "
        "heatmap has there, lies clearly above the same on spurious masks and above 1 (95 % intervals apart, "
        "at least 10 images of either kind); spurious the other way round; else undecided.",
        source=BOOK,
    ),
    "alike": Tooltip(
        "The images whose vectors point most nearly the same way as this one's, of all images of the study. "
        "For this encoder: its representations. For CLIP: whole images as CLIP sees them.",
        r"\cos(a, b) = \frac{a \cdot b}{\lVert a\rVert\,\lVert b\rVert}",
    ),
    "perturbed": Tooltip(
        "What implicit feature modification does to an embedding: the image itself is moved away from a "
        "random view of it, another image is moved towards that view. The pictures are nearest to the moved "
        "point, in the space that the training loss compares.",
        r"v^+ - \varepsilon v, \qquad v^- + \varepsilon v",
        "Robinson et al., NeurIPS 2021, figure 4",
    ),
    "search": Tooltip(
        "CLIP compares the text with every image that the filter leaves. The number on a picture is the "
        "cosine of the two vectors: the higher, the better the picture fits the text.",
        source="CLIP, Radford et al., ICML 2021",
    ),
    "similarity": Tooltip(
        "Cosine similarity of the two representations; 1 means the same direction.", r"h_a \cdot h_b"
    ),
    "removal": Tooltip(
        "A feature is taken away by setting it to its mean over the train images; the probe is then asked "
        "again. Whether this mends more errors than taking away random features stands under Errors, "
        "Confusions.",
        r"z_c \mathrel{+}= (m_j - h_j)\, U'_{cj}",
    ),
    "map_pca": Tooltip(
        "Each representation, scaled to length 1, along the two directions in which they vary most. "
        "Distances far apart mean something, but much is hidden behind this plane. The "
        "words name places where many images lie close together: point at one to see how it got its name.",
        r"(h_i - \bar{h})^\top v_1,\; (h_i - \bar{h})^\top v_2",
        "principal component analysis",
    ),
    "map_umap": Tooltip(
        "A plane in which each image keeps its nearest neighbours of the representation space, found over "
        "the 50 leading principal components. Islands mean something, the distances between them little. The "
        "words name places where many images lie close together: point at one to see how it got its name.",
        source="McInnes, Healy & Melville 2018 (arXiv 1802.03426)",
    ),
    "flagged": Tooltip(
        "The images with the lowest scores. Images with equal scores are looked at together.", source=BOOK
    ),
    "flagged_errors": Tooltip(
        "Share of the images looked at that are misclassified (precision). Below it: the share among all "
        "images, which looking at random ones would give.",
        source=BOOK,
    ),
    "caught": Tooltip(
        "Share of all misclassified images that are among those looked at (recall). At random this is the "
        "share of the images looked at.",
        source=BOOK,
    ),
    "near_zero": Tooltip(
        "Share of the entries of a representation below a hundredth of its largest. The paper argues from "
        "nearly sparse representations, but Q works for some encoders with few such entries and fails for "
        "some with many. The limit of a hundredth is not the paper's.",
        source=Q_PAPER,
    ),
    "negative": Tooltip(
        "Share of the entries of a representation below 0. The paper argues from representations without.",
        source=Q_PAPER,
    ),
    "rankme": Tooltip(
        "Effective rank of the representations: how many directions carry their variation.",
        source="Garrido et al., ICML 2023",
    ),
    "alpha_req": Tooltip(
        "How fast the spectrum of the representations decays. Values near 1 were found to go with good "
        "representations.",
        source="Agrawal et al., NeurIPS 2022",
    ),
    "highly_activating": Tooltip(
        "The images whose activation of a feature lies above alpha, the mean of all entries plus k standard "
        "deviations. Each is cropped to where the feature looks, and the crop is compared with captions.",
        r"T_i = \{q : h_{qi} > \alpha\}",
        FALCON,
    ),
    "word_score": Tooltip(
        "The share of the feature's images that show the word, as CLIP sees it. Words chosen as in the paper "
        "have another score: the similarity of each crop to its best caption with the word, on average.",
        r"\tfrac{1}{|T|}\sum_q \max_p C^w_{qp}",
        DISSERTATION + ", eq. 4.1",
    ),
    "word_auc": Tooltip(
        "Chance that the feature is more active on a scene of which the word is true than on one of which it "
        "is not. 0.5 is chance. Known for rendered scenes only."
    ),
    "counterfactual": Tooltip(
        "Images like the highly activating ones in everything but this feature. A word that is true of them "
        "too is not what the feature means, and is discarded.",
        r"h_{qi} < \bar h_i,\; h_{q,V} \cdot h^{\mu} \ge \beta",
        DISSERTATION + ", eq. 4.2",
    ),
    "group": Tooltip(
        "The images that activate exactly this set of features highly, all of them and no other. Read "
        "together, features often mean something narrower than each alone.",
        r"\{j : h_{qj} > \alpha\}",
        FALCON + ", algorithm 1",
    ),
    "clip_cosine": Tooltip(
        "How alike the crops of a group look to CLIP: the mean cosine over all pairs of different crops. "
        "Above gamma, and with enough images, a group counts as interpretable.",
        r"\tfrac{1}{n(n-1)}\sum_{p \ne q} e_p \cdot e_q",
        FALCON + ", algorithm 1",
    ),
    "contribution": Tooltip(
        "What a feature adds to the probe's logit of the class: its activation times its weight.",
        r"(h \odot U_y)_j",
        DISSERTATION + ", section 4.5",
    ),
    "q_gap": Tooltip(
        "Mean Q-Score of correctly classified images minus that of misclassified ones. Where the Q-Score "
        "says nothing about errors, it is 0.",
        source=BOOK,
    ),
    "q_auprc_gain": Tooltip(
        "Average precision of the Q-Score minus what a useless score would have, which is the accuracy. It "
        "can be compared between encoders of different accuracy; the average precision alone cannot.",
        source=BOOK,
    ),
    "share_scored": Tooltip(
        "Share of the images on which at least one discriminative feature fires. On all others the Q-Score "
        "is 0, whatever is on them.",
        r"L_i \cap D \neq \varnothing",
        Q_PAPER + ", eq. 1",
    ),
    "explainable": Tooltip(
        "Features with more than 10 highly activating images: enough to find words for.",
        r"|T_i| > 10",
        FALCON,
    ),
    "interpretable": Tooltip(
        "Features whose crops look alike to CLIP: their mean cosine over all pairs exceeds gamma.",
        source=FALCON + ", algorithm 1",
    ),
    "n_concepts": Tooltip(
        "How many different words are left, over all features and groups of a study, after the words that "
        "also fit images without the feature are discarded.",
        source=DISSERTATION + ", table B.1",
    ),
    "worst_slices": Tooltip(
        "Classes, features, words and other columns, alone and within a class, whose evaluation images are "
        "misclassified more often than the images they are compared with (Fisher's exact test, one-sided). "
        "Many slices are tested, so q gives the false discovery rate. Error rates of the worst slices are "
        "somewhat higher than on new images.",
        source="Fisher's exact test; Benjamini & Hochberg 1995",
    ),
    "slice_images": Tooltip("Number of images that the slice holds, of both splits unless it says so."),
    "slice_accuracy": Tooltip(
        "Share of the slice's images that the probe classifies correctly, with Wilson's 95 % interval. On "
        "train images the probe is optimistic.",
        source="Wilson 1927",
    ),
    "slice_auroc": Tooltip(
        "Chance that, within the slice, a correctly classified image has a higher Q-Score than a "
        "misclassified one; below it the 95 % interval.",
        source=Q_PAPER + ", fig. 4; interval: Newcombe 2006",
    ),
    "slice_difference": Tooltip(
        "Share of the first slice's images with the trait minus that of the second's, in percentage points, "
        "with Newcombe's 95 % interval. Filled dots: q of Fisher's exact test at most 0.05, corrected over "
        "all traits of the same kind.",
        source="Newcombe 1998; Benjamini & Hochberg 1995",
    ),
    "dead": Tooltip("Share of the features that are 0 on every train image.", source=BOOK),
    **{key: Tooltip(*parts) for key, parts in {**FEATURE_TEXTS, **SCORE_TEXTS}.items()},
}


def help_text(key: str) -> str:
    """Tooltip text (what, formula, source) as Markdown; for `help=` anywhere."""
    text = TEXTS[key]
    formula = f"\n\n$$\n{text.formula}\n$$" if text.formula else ""  # on lines of its own: set as a block
    source = f"\n\nSource: {text.source}" if text.source else ""
    return f"{text.what}{formula}{source}"

"""Display names of the quality scores, the same in every figure, table and sentence."""

import re
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Score:
    """The name and explanation of a column of the `quality` table."""

    column: str
    label: str
    meaning: str
    label_free: bool = True
    whole_number: bool = False
    zero_means: str = ""  # meaning of a score of exactly 0, as opposed to small scores
    tooltip: str = ""  # its meaning in full sentences; a formula in LaTeX, and where it is from, follow it
    formula: str = ""
    source: str = "docs/method.md"


SCORES: dict[str, Score] = {
    score.column: score
    for score in (
        Score(
            "q_score",
            "Q-Score",
            "how far the firing discriminative features rise above the image's mean activation",
            zero_means="no discriminative feature fires",
        ),
        Score(
            "q_all_features",
            "Q over all firing features",
            "the same excess over every firing feature, discriminative or not",
            zero_means="no feature fires",
        ),
        Score(
            "n_firing", "Number of firing features", "how many features fire on the image", whole_number=True
        ),
        Score(
            "n_firing_discriminative",
            "Number of firing discriminative features",
            "how many discriminative features fire on the image",
            whole_number=True,
        ),
        Score("norm", "Raw norm", "length of the image's raw representation"),
        Score("max_activation", "Largest activation", "largest value of the normalised representation"),
        Score("hoyer", "Hoyer sparsity", "0 = all features equally active, 1 = a single feature active"),
        Score("knn_similarity", "Similarity to train images", "mean cosine to the 10 nearest train images"),
        Score(
            "combined",
            "Combined score",
            "consensus of six scores without labels, weighted by agreement; wrong where most of the six are",
            tooltip=(
                "Consensus of six scores that need no labels. Each gives the images ranks. A score "
                "weighs more, the more it agrees with the others. Nothing is fitted to errors. Where "
                "most of the six point the wrong way, so does it."
            ),
            formula=r"\sum_s w_s\,\mathrm{rank}_s(i)",
        ),
        Score(
            "distinctiveness",
            "Distinctiveness",
            "how far the activations lie from those of the average train image; far outliers also score high",
            tooltip=(
                "How far an image's activations lie from those of the average train image. Higher means"
                " better represented: the opposite sign of out-of-distribution detectors. Far outliers,"
                " such as images of another data set, also score high."
            ),
            formula=r"d_i = \mathrm{mean}_j\, z_{ij}^2,\qquad z_{ij} = (h_{ij} - m_j) / s_j",
        ),
        Score(
            "raw_distinctiveness",
            "Raw distinctiveness",
            "the same of the raw representation, whose length counts as well",
            tooltip=(
                "Distinctiveness of the raw representation, so its length counts as well. Far outliers "
                "also score high."
            ),
            formula=r"\mathrm{mean}_j\, z_{ij}^2\quad\text{of raw rows}",
        ),
        Score(
            "soft_q",
            "Soft Q-Score",
            "how far features exceed their train mean plus one standard deviation, on average",
            tooltip=(
                "The idea of the Q-Score without its hard threshold: how far features exceed their "
                "train mean plus one standard deviation, averaged over all features."
            ),
            formula=r"\mathrm{mean}_j\, \max(0,\ z_{ij} - 1)",
        ),
        Score(
            "whitened_norm",
            "Whitened norm",
            "distance from the average train image along its nine main directions of variation",
            tooltip=(
                "Distance from the average train image along the nine main directions of variation, "
                "each scaled to variance 1."
            ),
            formula=r"\Big(\sum_{c \le 9} ((h_i - m)^\top v_c)^2 / \lambda_c\Big)^{1/2}",
        ),
        Score(
            "pca_residual",
            "PCA residual",
            "share of the deviation outside the main directions, which hold 90 % of the train variance",
            tooltip=(
                "Share of an image's deviation from the average train image outside the main "
                "directions. These hold 90 % of the train images' variance."
            ),
            formula=r"1 - \sum_{c \le k} ((h_i - m)^\top v_c)^2 \big/ \lVert h_i - m \rVert^2",
        ),
        Score(
            "kpca_error",
            "Kernel PCA reconstruction",
            "how well kernel PCA of the train images rebuilds the image: its error, negated",
            tooltip=(
                "How well kernel PCA of the train images rebuilds the image: its reconstruction error, "
                "negated. Evaluation images only."
            ),
            formula=r"-\lVert \phi_i - m - V V^\top (\phi_i - m) \rVert",
            source="Fang et al., NeurIPS 2024",
        ),
        Score(
            "calibrated",
            "Calibrated score",
            "regression on the ranks of the scores without labels, fitted on a few labelled train images",
            label_free=False,
            tooltip=(
                "Chance of a correct answer, by a regression on the ranks of the scores without labels,"
                " fitted on a few labelled train images. Uses their labels."
            ),
            formula=r"\sigma\left(b + \sum_s w_s\,\mathrm{rank}_s(i)\right)",
        ),
        Score("confidence", "Confidence", "largest class probability of the classifier", label_free=False),
        Score("margin", "Margin", "gap between the classifier's two top classes", label_free=False),
        Score("energy", "Energy", "log-sum-exp of the classifier's logits", label_free=False),
        Score(
            "gen",
            "GEN",
            "generalised entropy of the probe's probabilities, negated",
            label_free=False,
            tooltip=(
                "Generalised entropy of the probe's probabilities, negated; higher means surer. Uses labels."
            ),
            formula=r"-\sum_c p_c^{0.1} (1 - p_c)^{0.1}",
            source="Liu, Lochman & Zach, CVPR 2023",
        ),
        Score(
            "nnguide",
            "NNGuide",
            "the probe's energy, guided by train images that are near and of high energy",
            label_free=False,
            tooltip=(
                "The probe's energy times the mean of the 10 largest products of a train image's energy"
                " and its cosine. Uses labels."
            ),
            formula=r"E_i\,\tfrac{1}{k}\sum_{\mathrm{top}\ k} E_t\, h_i \cdot h_t",
            source="Park, Jung & Teoh, ICCV 2023",
        ),
        Score(
            "fdbd",
            "fDBD",
            "distance to the probe's decision boundaries, relative to that from the average train image",
            label_free=False,
            tooltip=(
                "Mean distance to the probe's decision boundaries, divided by the distance from the "
                "average train image. Uses labels."
            ),
            formula=(
                r"\frac{\mathrm{mean}_c\,(z_f - z_c) / \lVert w_f - w_c \rVert}"
                r"{\lVert \mathrm{raw}_i - m \rVert}"
            ),
            source="Liu & Qin, ICML 2024",
        ),
        Score(
            "she",
            "SHE",
            "inner product with the mean of the predicted class's correct train images",
            label_free=False,
            tooltip=(
                "Inner product with the mean of the correctly classified train images of the predicted "
                "class. Uses labels."
            ),
            formula=r"\mathrm{raw}_i \cdot S_f",
            source="Zhang et al., ICLR 2023",
        ),
        Score(
            "vim_residual",
            "ViM residual",
            "how little lies outside the main directions around the point where the probe's logits vanish: "
            "the residual, negated",
            label_free=False,
            tooltip=(
                "Length of the part outside the main directions around the point where the probe's "
                "logits vanish, negated. Uses labels."
            ),
            formula=r"-\lVert R^\top (\mathrm{raw}_i - o) \rVert",
            source="Wang et al., CVPR 2022",
        ),
    )
}


def score_label(column: str) -> str:
    """Return the score's display name; an unknown column keeps the letters and digits of its own.

    >>> score_label("my_score"), score_label("<b>x</b>")
    ('my score', 'b x b')
    """
    score = SCORES.get(column)
    return score.label if score else " ".join(re.findall(r"[^\W_]+", column))


def score_in_sentence(column: str) -> str:
    """Name a score within a sentence: "the raw norm", "the classifier's confidence", "distinctiveness"."""
    name = score_label(column)
    if name in ("Confidence", "Margin", "Energy"):
        return f"the classifier's {name.lower()}"
    if name.startswith(("Hoyer", "Q over", "GEN", "NNGuide", "fDBD", "SHE")):
        return name
    if name.lower().endswith("distinctiveness"):
        return name.lower()
    return f"the {name if name[1:2].isupper() or name[1:2] == '-' else name[:1].lower() + name[1:]}"


def available_scores(quality: pd.DataFrame) -> list[str]:
    """List the score columns of `quality` that hold at least one number, in the order of SCORES."""
    return [column for column in SCORES if column in quality and bool(quality[column].notna().any())]

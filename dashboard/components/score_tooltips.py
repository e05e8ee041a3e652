"""Meanings of the scores of docs/method.md 2.2 and 2.7; `tooltips.py` serves them with all others."""

from __future__ import annotations

BOOK = "docs/method.md"

# key -> what it means, its formula (LaTeX, or empty), its source
SCORE_TEXTS: dict[str, tuple[str, str, str]] = {
    "calibrated": (
        "Chance of a correct answer, by a regression on the ranks of the scores without labels, fitted "
        "on a few labelled train images. Uses their labels.",
        r"\sigma\left(b + \sum_s w_s\,\mathrm{rank}_s(i)\right)",
        BOOK,
    ),
    "combined": (
        "Consensus of six scores that need no labels. Each gives the images ranks. A score weighs more, the "
        "more it agrees with the others. Nothing is fitted to errors. Where most of the six point the wrong "
        "way, so does it.",
        r"\sum_s w_s\,\mathrm{rank}_s(i)",
        BOOK,
    ),
    "distinctiveness": (
        "How far an image's activations lie from those of the average train image. Higher means better "
        "represented: the opposite sign of out-of-distribution detectors. Far outliers, such as images of "
        "another data set, also score high.",
        r"d_i = \mathrm{mean}_j\, z_{ij}^2,\qquad z_{ij} = (h_{ij} - m_j) / s_j",
        BOOK,
    ),
    "raw_distinctiveness": (
        "Distinctiveness of the raw representation, so its length counts as well. Far outliers also score "
        "high.",
        r"\mathrm{mean}_j\, z_{ij}^2\quad\text{of raw rows}",
        BOOK,
    ),
    "soft_q": (
        "The idea of the Q-Score without its hard threshold: how far features exceed their train mean plus "
        "one standard deviation, averaged over all features.",
        r"\mathrm{mean}_j\, \max(0,\ z_{ij} - 1)",
        BOOK,
    ),
    "whitened_norm": (
        "Distance from the average train image along the nine main directions of variation, each scaled to "
        "variance 1.",
        r"\Big(\sum_{c \le 9} ((h_i - m)^\top v_c)^2 / \lambda_c\Big)^{1/2}",
        BOOK,
    ),
    "pca_residual": (
        "Share of an image's deviation from the average train image outside the main directions. These hold "
        "90 % of the train images' variance.",
        r"1 - \sum_{c \le k} ((h_i - m)^\top v_c)^2 \big/ \lVert h_i - m \rVert^2",
        BOOK,
    ),
    "kpca_error": (
        "How well kernel PCA of the train images rebuilds the image: its reconstruction error, negated. "
        "Evaluation images only.",
        r"-\lVert \phi_i - m - V V^\top (\phi_i - m) \rVert",
        "Fang et al., NeurIPS 2024",
    ),
    "gen": (
        "Generalised entropy of the probe's probabilities, negated; higher means surer. Uses labels.",
        r"-\sum_c p_c^{0.1} (1 - p_c)^{0.1}",
        "Liu, Lochman & Zach, CVPR 2023",
    ),
    "nnguide": (
        "The probe's energy times the mean of the 10 largest products of a train image's energy and its "
        "cosine. Uses labels.",
        r"E_i\,\tfrac{1}{k}\sum_{\mathrm{top}\ k} E_t\, h_i \cdot h_t",
        "Park, Jung & Teoh, ICCV 2023",
    ),
    "fdbd": (
        "Mean distance to the probe's decision boundaries, divided by the distance from the average train "
        "image. Uses labels.",
        r"\frac{\mathrm{mean}_c\,(z_f - z_c) / \lVert w_f - w_c \rVert}{\lVert \mathrm{raw}_i - m \rVert}",
        "Liu & Qin, ICML 2024",
    ),
    "she": (
        "Inner product with the mean of the correctly classified train images of the predicted class. "
        "Uses labels.",
        r"\mathrm{raw}_i \cdot S_f",
        "Zhang et al., ICLR 2023",
    ),
    "vim_residual": (
        "Length of the part outside the main directions around the point where the probe's logits vanish, "
        "negated. Uses labels.",
        r"-\lVert R^\top (\mathrm{raw}_i - o) \rVert",
        "Wang et al., CVPR 2022",
    ),
    "agreement": (
        "Share of the images to which two answers give one class, with Wilson's interval. McNemar's test: "
        "among images that one answer alone gets right, is it equally often either?",
        r"p = 2\,P\big(X \le \min(b, c)\big),\quad X \sim \mathrm{Bin}(b + c, \tfrac12)",
        "McNemar 1947; Newcombe 1998",
    ),
    "auroc_within": (
        "AUROC over pairs of a correct and a misclassified image with the same predicted class. A score that "
        "only tells the classes apart is at 0.5.",
        "",
        BOOK,
    ),
}

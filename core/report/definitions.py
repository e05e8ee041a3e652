"""What the terms of a report mean, with their formulas, in MathML that browsers draw without any script."""

from __future__ import annotations

from core.report.page import Html, element

Q_PAPER = "Kalibhat et al., AAAI 2024, arXiv 2203.01881"
FALCON = "Kalibhat et al., ICML 2023, arXiv 2307.10504"


def _math(inner: str) -> str:
    return f'<math display="block">{inner}</math>'


FIRING = _math(
    "<msub><mi>L</mi><mi>i</mi></msub><mo>=</mo><mo>{</mo><mi>j</mi><mo>:</mo><msub><mi>h</mi><mi>ij</mi></msub>"
    "<mo>&gt;</mo><msub><mi>μ</mi><mi>i</mi></msub><mo>+</mo><mi>ε</mi><msub><mi>σ</mi><mi>i</mi></msub>"
    "<mo>}</mo>"
)
DISCRIMINATIVE = _math(
    "<mi>D</mi><mo>=</mo><mo>{</mo><mi>j</mi><mo>:</mo><msub><mi>P</mi><mn>50</mn></msub><mo>≤</mo>"
    "<msub><mi>A</mi><mi>j</mi></msub><mo>≤</mo><msub><mi>P</mi><mn>95</mn></msub><mo>,</mo>"
    "<msub><mi>A</mi><mi>j</mi></msub><mo>&gt;</mo><mn>0</mn><mo>}</mo>"
)
Q_SCORE = _math(
    "<msub><mi>Q</mi><mi>i</mi></msub><mo>=</mo><munder><mi>mean</mi><mrow><mi>j</mi><mo>∈</mo>"
    "<msub><mi>L</mi><mi>i</mi></msub><mo>∩</mo><mi>D</mi></mrow></munder><mo>(</mo><msub><mi>h</mi><mi>ij</mi>"
    "</msub><mo>−</mo><msub><mi>μ</mi><mi>i</mi></msub><mo>)</mo>"
)
MIOU = _math(
    "<mfrac><mrow><munder><mo>∑</mo><mrow><mi>R</mi><mo>∩</mo><mi>B</mi></mrow></munder><mi>G</mi></mrow>"
    "<mrow><munder><mo>∑</mo><mrow><mi>R</mi><mo>∪</mo><mi>B</mi></mrow></munder><mi>G</mi></mrow></mfrac>"
    "<mo>,</mo><mi>R</mi><mo>=</mo><mo>{</mo><mi>G</mi><mo>≥</mo><mi>t</mi><mo>}</mo><mo>,</mo><mi>B</mi>"
    "<mo>=</mo><mo>{</mo><mi>M</mi><mo>≥</mo><mn>0.5</mn><mo>}</mo>"
)
WORD_SCORE = _math(
    "<mfrac><mn>1</mn><mrow><mo>|</mo><mi>T</mi><mo>|</mo></mrow></mfrac><munder><mo>∑</mo><mi>q</mi></munder>"
    "<munder><mi>max</mi><mi>p</mi></munder><msubsup><mi>C</mi><mi>qp</mi><mi>w</mi></msubsup>"
)
TERMS: tuple[tuple[str, str, str, str], ...] = (
    (
        "Representation",
        "What the encoder gives for an image. h is the representation scaled to length 1; μ and σ are the "
        "mean and standard deviation over its entries.",
        "",
        "",
    ),
    ("Firing features", "Those that stand out on an image.", FIRING, Q_PAPER),
    (
        "Activation rate, discriminative features",
        "A is the percentage of the train images on which a feature fires. Discriminative features fire "
        "neither rarely nor nearly everywhere, by the percentiles of A.",
        DISCRIMINATIVE,
        Q_PAPER,
    ),
    (
        "Q-Score",
        "Mean excess of the firing discriminative features; 0 where none fires. Needs no labels.",
        Q_SCORE,
        Q_PAPER,
    ),
    (
        "Accuracy",
        "Share of the evaluation images whose class a linear probe on the frozen representations predicts. "
        "Base rate: always answering the commonest class.",
        "",
        Q_PAPER,
    ),
    (
        "AUROC",
        "Chance that a correctly classified image scores higher than a misclassified one; 0.5 is guessing.",
        "",
        "",
    ),
    (
        "AUPRC",
        "Average precision. Of correct images: its base rate is the accuracy. Of errors: the error rate.",
        "",
        "",
    ),
    (
        "AURC",
        "Error among the images kept while the lowest-scored are put aside, averaged over how many are kept; "
        "lower is better.",
        "",
        "",
    ),
    (
        "Intervals",
        "95 %, percentiles over bootstrap resamples of the images; of a share without resamples, Wilson's.",
        "",
        "",
    ),
    (
        "mIoU",
        "How far a heatmap G and a mask M cover each other, averaged over images. Core masks show the "
        "object, spurious masks what merely comes with it.",
        MIOU,
        f"{Q_PAPER}, figs 6 and 7",
    ),
    (
        "Heatmap",
        "Grad-CAM of the firing discriminative features, mean of the maps each scaled to 1.",
        "",
        "Selvaraju et al., ICCV 2017",
    ),
    (
        "WordScore",
        "For each highly activating image the best caption that holds the word, averaged over the images.",
        WORD_SCORE,
        f"{FALCON}, eq. 4.1",
    ),
    (
        "Contribution",
        "What a feature adds to the probe's logit of a class: its activation times the probe's weight.",
        "",
        FALCON,
    ),
)


def definitions() -> Html:
    """A list of terms: what, formula, source."""
    parts = []
    for name, what, formula, source in TERMS:
        parts += [element("dt", name)]
        cited = element("span", f" {source}.", class_="quiet") if source else Html("")
        parts += [element("dd", what, cited, Html(formula))]
    return element("dl", *parts)

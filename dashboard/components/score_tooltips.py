"""Tooltips about scores: those of `core.common.score_names`, and of what is counted about them."""

from core.common.score_names import SCORES

BOOK = "docs/method.md"

# key -> what it means, its formula (LaTeX, or empty), its source
SCORE_TEXTS: dict[str, tuple[str, str, str]] = {
    **{name: (one.tooltip, one.formula, one.source) for name, one in SCORES.items() if one.tooltip},
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

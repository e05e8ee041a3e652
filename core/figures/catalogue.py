"""Every figure by name: its content, its number in [Q], and the items of a study that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from core.common.command_line import command_line
from core.errors import SettingsError, StudyError, did_you_mean
from core.figures import changed_inputs, fda_examples
from core.figures import inspected_charts as inspected
from core.figures import study_charts as charts
from core.figures import study_domains as of_domains
from core.figures import study_panels as panels
from core.figures.options import FigureOptions
from core.figures.theme import LIGHT, Theme, paper, paper_of_width

if TYPE_CHECKING:
    from core.store import Study

STYLES = ("paper", "paper-single", "paper-double", "screen")
FONTS = ("serif", "sans")


@dataclass(frozen=True)
class Entry:
    """A figure of the catalogue.

    Attributes:
        source: its number in [Q], or "". needs: items of the study, each with the step that makes it.
        studies: minimum and maximum number. column: its width in print, single or double.
    """

    name: str
    title: str
    source: str
    needs: tuple[tuple[str, str], ...]
    draw: Callable[[Sequence[Study], FigureOptions, Theme], go.Figure]
    studies: tuple[int, int] = (1, 1)
    column: str = "single"


MANY = 8
FEATURES, QUALITY = ("features", "features"), ("quality", "quality")
JUDGED = (QUALITY, ("quality_metrics", "quality"), ("quality_curves", "quality"))
CAUSES = ("quality_by_cause", "quality")
VERDICTS, HEATMAPS = ("probe", "probe"), ("heatmap_maps", "heatmaps")
IMAGES = ("images", "embed")
MEANS, CURVE = ("class_means_correct", "quality"), ("sparsity_curves", "quality")
OVERLAP, MIOU = ("overlap", "overlap"), ("overlap_summary", "overlap")
DOMAINS = ("domains", "domains")
SWEEP, BY_CLASS = ("overlap_sweep", "overlap"), ("overlap_by_class", "overlap")
ENTRIES = (
    Entry(
        "sorted_activation",
        "activation rate of every feature",
        "Fig. 1",
        (FEATURES,),
        charts.sorted_activation,
    ),
    Entry("purity", "class purity against activation rate", "", (FEATURES,), charts.purity),
    Entry(
        "class_representations",
        "average representations of correct and misclassified images",
        "Fig. 3",
        (FEATURES, VERDICTS, MEANS),
        charts.class_representations,
        column="double",
    ),
    Entry(
        "q_distribution",
        "Q (--score) by correctness; --with: several studies",
        "Fig. 4",
        (QUALITY,),
        charts.q_distribution,
        (1, MANY),
    ),
    Entry(
        "heatmaps",
        "heatmaps of correct and misclassified images; --with: before and after",
        "Fig. 5",
        (VERDICTS, HEATMAPS),
        panels.class_heatmaps,
        (1, 4),
        "double",
    ),
    Entry(
        "mask_overlap",
        "image, heatmap, mask and their overlap",
        "Fig. 6",
        (HEATMAPS, OVERLAP),
        panels.mask_overlaps,
        column="double",
    ),
    Entry(
        "miou",
        "mIoU with both masks by correctness; --with: several studies",
        "Fig. 7",
        (MIOU,),
        charts.miou,
        (1, MANY),
    ),
    Entry("sparsity", "sorted activations by correctness", "A.1", (VERDICTS, CURVE), charts.sparsity),
    Entry(
        "kept_features",
        "probe accuracy against the share of features removed; --with: several studies",
        "Figs 2, A.5, A.7",
        (VERDICTS, ("probe_curves", "probe")),
        charts.kept_features,
        (1, MANY),
        "double",
    ),
    Entry(
        "transferred_features",
        "features chosen here, on another image set (--with)",
        "A.2",
        (FEATURES,),
        panels.transferred_features,
        (2, 2),
        "double",
    ),
    Entry(
        "feature_heatmaps",
        "top images of features with their heatmaps",
        "A.10",
        (FEATURES, HEATMAPS),
        panels.feature_heatmaps,
        column="double",
    ),
    Entry(
        "directions",
        "top, lowly activating, random feature and PCA on one class",
        "A.11 to A.14",
        (FEATURES, VERDICTS),
        panels.directions,
        column="double",
    ),
    Entry(
        "q_against_miou",
        "Q (--score) of each image against its overlap",
        "",
        (QUALITY, OVERLAP),
        charts.q_against_miou,
        column="double",
    ),
    Entry("threshold_sweep", "mIoU against the heatmap's threshold", "", (SWEEP,), charts.threshold_sweep),
    Entry(
        "miou_scale",
        "mIoU of the heatmaps between control heatmaps",
        "",
        (OVERLAP,),
        inspected.control_scale,
        column="double",
    ),
    Entry("miou_by_class", "mIoU of each class (--mask)", "", (BY_CLASS,), charts.miou_by_class),
    Entry(
        "map",
        "every image on the map, by class, --features J or --score",
        "",
        (("map_pca", "map"),),
        charts.representation_map,
    ),
    Entry("roc", "ROC of Q (--score)", "", JUDGED, charts.roc),
    Entry("precision_recall", "precision and recall of correct images", "", JUDGED, charts.precision_recall),
    Entry("finding_errors", "precision and recall of errors", "", JUDGED, charts.finding_errors),
    Entry("risk_coverage", "errors among the images kept", "", JUDGED, charts.risk_coverage),
    Entry("rivals", "every score with its interval", "", JUDGED, charts.score_ranking),
    Entry(
        "by_cause",
        "for which cause of failure a score works",
        "",
        (CAUSES,),
        charts.by_cause,
        column="double",
    ),
    Entry("score_pair", "share of errors by two scores at once", "", (QUALITY, VERDICTS), charts.score_pair),
    Entry("worst_slices", "error rates of the worst slices", "", (VERDICTS,), inspected.slice_errors),
    Entry(
        "slice_differences",
        "what a slice has more often than the others (--versus)",
        "",
        (FEATURES,),
        inspected.slice_differences,
        column="double",
    ),
    Entry(
        "ddm_features",
        "features of a class in each domain",
        "[K] Fig. 2.3",
        (DOMAINS, ("domain_jaccard", "domains")),
        of_domains.ddm_features,
        column="double",
    ),
    Entry(
        "ddm_map",
        "prefix, rest and all features on maps, by domain and class (--projection)",
        "[K] Figs 2.4, 2.5",
        (DOMAINS, ("domain_map", "domains")),
        of_domains.ddm_map,
        column="double",
    ),
    Entry(
        "perturbed_sheet",
        "images nearest to embeddings moved as IFM moves them",
        "",
        (("perturbed_neighbours", "perturbed"),),
        changed_inputs.perturbed_sheet,
        column="double",
    ),
    Entry(
        "robust_bars",
        "accuracy of probes trained on robust and non-robust features; --with: several studies",
        "",
        (("robust_features", "robust-features"),),
        changed_inputs.robust_bars,
        (1, MANY),
    ),
    Entry(
        "fda_examples",
        "Fourier augmentations on images ([K] Fig. 5.3)",
        "",
        (IMAGES,),
        fda_examples.fda_examples,
        column="double",
    ),
    Entry(
        "retrieval_sheet",
        "the nearest images of some queries ([K] Fig. 5.4); --with: other encoders",
        "",
        (IMAGES, ("representations", "embed")),
        fda_examples.retrieval_sheet,
        (1, 4),
        "double",
    ),
    Entry("confusions", "classes taken for each other", "", (VERDICTS,), inspected.confused_pairs),
)
FIGURES = {entry.name: entry for entry in ENTRIES}
NAMES = tuple(FIGURES)


def draw(
    studies: Study | Sequence[Study],
    name: str,
    *,
    style: str = "paper",
    font: str = "serif",
    width: int | None = None,
    options: FigureOptions | None = None,
) -> go.Figure:
    """One figure of the catalogue.

    Args:
        studies: one study, or several if the figure compares them.
        name: a key of FIGURES.
        style: `paper` (the figure's own column width), `paper-single`, `paper-double` or `screen`.
        font: of the paper styles, serif or sans. width: CSS px, instead of that of a paper style.
    Raises:
        SettingsError: unknown figure, style or option, or a wrong number of studies.
        StudyError: a study lacks data of the figure; the message names the command that makes it.
    """
    entry = entry_named(name)
    several = list(studies) if isinstance(studies, Sequence) else [studies]
    _check_number(entry, several)
    options = options or FigureOptions()
    for study in several:
        check_holds(study, entry)
        charts.refuse_features(study, options)
    theme = theme_of(style, entry, font)
    return entry.draw(several, options, theme if width is None else paper_of_width(width, font))


def entry_named(name: str) -> Entry:
    """Return the named figure; SettingsError, naming the closest, if there is none."""
    if name not in FIGURES:
        raise SettingsError(f"no figure '{name}'.{did_you_mean(name, NAMES)} Figures: {', '.join(NAMES)}")
    return FIGURES[name]


def theme_of(style: str, entry: Entry, font: str = "serif") -> Theme:
    """Return the theme of a style; SettingsError for an unknown style or font."""
    if style not in STYLES:
        raise SettingsError(f"no style '{style}'.{did_you_mean(style, STYLES)} Styles: {', '.join(STYLES)}")
    if font not in FONTS:
        raise SettingsError(f"no font '{font}'.{did_you_mean(font, FONTS)} Fonts: {', '.join(FONTS)}")
    if style == "screen":
        return LIGHT
    return paper(column=style.partition("-")[2] or entry.column, font=font)


def check_holds(study: Study, entry: Entry) -> None:
    """Raise StudyError, with the reason and the command, when a study lacks an item that a figure needs."""
    if (reason := why_not_drawn(study, entry)) is not None:
        raise StudyError(f"no figure '{entry.name}' of '{study.path}': {reason}")


def why_not_drawn(study: Study, entry: Entry) -> str | None:
    """Why a study lacks an item that a figure needs, and the command that makes it; None where it has all."""
    for item, step in entry.needs:
        missing = study.why_missing(item)
        if missing is None:
            continue
        if missing.state in ("missing", "stale", "damaged"):
            return f"the step '{step}' is {missing}"
        if missing.state == "whole":
            return missing.reason
        return study.summary(step).get("skipped") or _why_absent(study, item, step)
    return None


def _why_absent(study: Study, item: str, step: str) -> str:
    if item == "quality_by_cause":
        return "its images do not record what makes them hard (Glyphworld's do)"
    if item == "probe_curves":
        return f"the probe was run without curves. Run: {command_line(step, study.path, curves=True)}"
    redo = f"Run: {command_line(step, study.path, redo=True)}"
    if item in ("class_means_correct", "sparsity_curves"):
        return f"no evaluation image has a probe result, or '{step}' ran before these were stored. {redo}"
    return f"it holds no '{item}'. {redo}"


def _check_number(entry: Entry, studies: Sequence[Study]) -> None:
    least, most = entry.studies
    if len(studies) < least:
        raise SettingsError(f"the figure '{entry.name}' compares two studies; give the second: --with STUDY2")
    if len(studies) > most:
        said = "one study" if most == 1 else f"at most {most} studies"
        raise SettingsError(f"the figure '{entry.name}' shows {said}; leave out --with")

"""A dictionary that two encoders share: what either knows of each latent, and latents that one lacks."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, shown_slice, whole_study
from core.charts.heat_panels import Shown, StudyHeats, enlarged, heat_picture
from core.charts.marks import dots, line, points_kind
from core.charts.options import FigureOptions
from core.charts.panels import Header, Picture, Strip, picture_grid
from core.charts.theme import LIGHT, Theme, finish, note_figure, tint
from core.common.dataframes import as_text, numbers
from core.comparison.shared_dictionary import (
    BETWEEN,
    BOTH,
    FIRST,
    LACKS,
    OTHER,
    SharedDictionary,
    latent_words,
    shared_dictionary,
    shared_finding,
)
from core.errors import StudyError
from core.store import Study

LATENTS, IMAGES = 4, 6  # of either side, and of each
LETTERS = 18  # of a line beside the pictures


def read_shared(studies: Sequence[Study], options: FigureOptions) -> SharedDictionary:
    """Read what the charts show, of the slice of the first study."""
    whole, other = map(whole_study, studies)
    return shared_dictionary(whole, other, among=shown_slice(studies[0]))


def shared_scatter(data: SharedDictionary, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot each latent by how well either encoder alone tells where it is active."""
    frame = data.frame.loc[data.frame["known_to"] != ""]
    if frame.empty:
        return note_figure("No latent is active on enough images to be judged.", theme)
    first, other = map(as_text, data.names)
    colours = {
        BOTH: (tint(theme.neutral, 0.5), "known to both"),
        BETWEEN: (theme.neutral, "in between"),
        OTHER: (theme.misclassified, f"{first} lacks it"),
        FIRST: (theme.correct, f"{other} lacks it"),
    }
    fig, lowest = go.Figure(), float(frame[["told_by_first", "told_by_other"]].min().min())
    reach = [min(lowest, LACKS) - 0.02, 1.01]
    fig.add_trace(
        line(reach, reach, colour=theme.neutral, width=theme.stroke(1), dash="dot", showlegend=False)
    )
    for side, (colour, title) in colours.items():
        part = frame.loc[frame["known_to"] == side]
        if part.empty:
            continue
        names = [
            f"{data.basis.name}/{row['latent']} {latent_words(row)}".strip()
            for row in part.to_dict("records")
        ]
        fig.add_trace(
            dots(
                numbers(part, "told_by_first"),
                numbers(part, "told_by_other"),
                kind=points_kind(len(frame)),
                name=title,
                marker={"color": colour, "size": theme.stroke(7 if side in (FIRST, OTHER) else 5)},
                customdata=np.stack([list(map(as_text, names)), part["latent"].astype(str)], 1),
                hover=f"<b>%{{customdata[0]}}</b><br>{first} %{{x:.2f}}, {other} %{{y:.2f}}",
            )
        )
    fig.update_xaxes(title=f"AUROC of {first}", range=reach)
    fig.update_yaxes(title=f"AUROC of {other}", range=reach)
    return finish(fig, theme, height=380)


class LatentPictures(NamedTuple):
    """Pictures of latents: `frame` has their rows; for each its images and both verdicts, by side."""

    frame: pd.DataFrame
    sides: dict[str, list[tuple[str, list[tuple[Shown, tuple[float, float]]]]]]
    names: list[str]


def latents_in_pictures(data: SharedDictionary, options: FigureOptions) -> LatentPictures:
    """Read the strongest evaluation images of the latents that either encoder lacks.

    Args:
        options: `features` names the latents; else LATENTS of either side. `images` of each (6).
    Raises:
        StudyError: there is none to show.
    """
    source, sides = StudyHeats(data.shared.studies[0], options), {}
    for side in (OTHER, FIRST):
        rows = data.known_to(side)
        latents = rows.loc[rows["latent"].isin(options.features)] if options.features else rows.head(LATENTS)
        strips = []
        for row in latents.to_dict("records"):
            images = source.shown(data.strongest(int(row["latent"]), options.images or IMAGES))
            verdicts = data.verdicts([image.row for image in images])
            words = [as_text(line) for line in textwrap.wrap(latent_words(row), LETTERS)]
            areas = f"{row['told_by_first']:.2f} and {row['told_by_other']:.2f}"
            title = "<br>".join([f"<b>{data.basis.name}/{row['latent']}</b>", *words, areas])
            strips.append((title, list(zip(images, verdicts, strict=True))))
        if strips:
            sides[side] = strips
    if not sides:
        raise StudyError("neither encoder lacks a latent that the other one knows")
    shown = data.frame.loc[data.frame["known_to"].isin(sides)]
    return LatentPictures(shown.reset_index(drop=True), sides, data.names)


def picture_latents(data: LatentPictures, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot a row of images per latent, in the colour of whether the encoder that lacks it is right."""
    strips, first, other = [], *map(as_text, data.names)
    n = 0
    for side, rows in data.sides.items():
        for at, (title, images) in enumerate(rows):
            pictures = [_picture(image, verdicts, side) for image, verdicts in images]
            strips.append(Strip(title, pictures, apart=at == 0 and bool(strips)))
            n = max(n, len(pictures))
    lacking = " or ".join({OTHER: first, FIRST: other}[side] for side in data.sides)
    note = (
        f"Evaluation images on which a latent is strongest that {lacking} cannot tell (AUROC below {LACKS}). "
        f"Left: the AUROC of {first} and {other}. Frame and caption: the answer of the encoder that lacks it."
    )
    header = [Header(f"What {lacking} lacks" if len(data.sides) == 1 else "What one of them lacks", 0, n)]
    return picture_grid(strips, headers=header, note=note, theme=theme)


def _picture(image: Shown, verdicts: tuple[float, float], side: str) -> Picture:
    right = verdicts[0 if side == OTHER else 1]
    verdict = "" if right != right else "correct" if right else "misclassified"
    return heat_picture(image, enlarged(image.pixels), caption=verdict, verdict=verdict)


SHARED_LATENTS = Chart(
    name="shared_latents",
    title="how well either of two encoders knows each latent of a dictionary that they share; --with",
    needs=("features",),
    table=read_shared,
    draw=lambda data, _, theme: shared_scatter(data, theme=theme),
    finding=shared_finding,
    alt=lambda data: f"AUROC of both encoders for each shared latent. {shared_finding(data)}.",
    studies=(2, 2),
    same_images=True,
    basis_of_first=True,
)
LACKING_LATENTS = Chart(
    name="lacking_latents",
    title="images of shared latents that one of two encoders lacks, with its answers; --with",
    needs=("features",),
    table=lambda studies, options: latents_in_pictures(read_shared(studies, options), options),
    draw=lambda data, _, theme: picture_latents(data, theme=theme),
    studies=(2, 2),
    column="double",
    same_images=True,
    basis_of_first=True,
)

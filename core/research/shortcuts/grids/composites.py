"""An object and a digit in one image: which of the two an encoder keeps, with and without IFM.

After the STL-digits of the IFM paper (App. C.2, Figs 13 and 14). The digit is the easy feature; the object's
colours are one of its features, so the usual colour changes stay off as for trifeature.
"""

import pandas as pd

from core.data.sources.images import ImageSource, open_images
from core.errors import ImageSourceError
from core.research.grids.definition import CellJob, Grid, Values
from core.research.grids.runner import Row
from core.research.grids.trained import cell_config
from core.research.shortcuts.grids import shortcut_runs
from core.research.shortcuts.grids.readout import Factor
from core.research.shortcuts.grids.suppression import suppression_arms, without_ifm

FACTORS = ("object", "digit")
ARMS = {"temperatures": [0.5], "epsilons": [0.0, 0.1], "alpha": 1.0, "jitter": 0.0, "grayscale": 0.0}
GLYPHS = {
    **shortcut_runs.CPU,
    **ARMS,
    "images": "composite?images=(glyphworld?train=2000&val=1000&size=96)&threshold=100&seed=0",
    "size": 96,
    "crop_size": 64,
    "crop_scale": (0.2, 1.0),
}
SMALL_GLYPHS = {
    **shortcut_runs.SHORT,
    **ARMS,
    "images": GLYPHS["images"],
    "jitter": 0.8,  # with its colours alone the small network tells images apart, and keeps no digit
    "grayscale": 0.2,
    "size": 64,
    "crop_size": 48,
    "crop_scale": (0.4, 1.0),
}
STL = {
    **shortcut_runs.PAPER,
    **ARMS,
    "images": "composite?images=(torchvision:STL10?root=data)&digits=(torchvision:MNIST?root=data)",
    "size": 96,
    "crop_size": 96,
}


def run_composite(job: CellJob) -> Row:
    """Train one cell on composites, and read the object and the digit out of it."""
    source = open_images(job.values["images"])
    if bool(source.table["label"].isna().any()):
        raise ImageSourceError(
            f"'{job.values['images']}' has images without a label, so no object can be read out. "
            "Give labelled ones"
        )
    settings = shortcut_runs.shortcut_settings(job.values, job.cell.columns, size=job.values["size"])
    settings["augment"] |= {name: job.values[name] for name in ("jitter", "grayscale")}
    config = cell_config(job, {**settings, "crop_size": job.values["crop_size"]})
    return shortcut_runs.trained_row(job, config, composite_factors(source))


def composite_factors(source: ImageSource) -> dict[str, Factor]:
    """Levels of the object (its class) and of the digit on the train and on the val images."""
    table, extras = source.table, source.extras
    assert extras is not None
    is_val = (table["split"] == "val").to_numpy()
    codes = {
        "object": pd.Categorical(table["label"]).codes.astype("int64"),
        "digit": extras["digit"].astype(int).to_numpy(),
    }
    return {name: Factor(levels[~is_val], levels[is_val]) for name, levels in codes.items()}


def composite_verdicts(values: Values, table: pd.DataFrame) -> list[str]:
    pairs = [(cell.arm, without_ifm(values, cell.arm)) for cell in suppression_arms(values)]
    return [
        shortcut_runs.no_trade_off(table, arm, other, FACTORS) for arm, other in pairs if other is not None
    ]


GRID = Grid(
    name="composites",
    presets={"cpu": GLYPHS, "paper": STL, "short": SMALL_GLYPHS},
    arms=suppression_arms,
    run=run_composite,
    measures=shortcut_runs.factor_measures(FACTORS),
    baseline=without_ifm,
    of_arms=("temperatures", "epsilons"),
    choices=shortcut_runs.CHOICES,
    positive=("temperatures",),
    not_negative=("epsilons", "alpha"),
    verdicts=composite_verdicts,
)

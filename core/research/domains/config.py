"""The settings of the step `domains`. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config.analysis import MAP_METHODS
from core.config.checks import check_map_options
from core.config.settings import option
from core.errors import SettingsError


@dataclass(frozen=True)
class DomainTestsConfig:
    """Tests of what representations tell of the domain of an image (docs/method.md 14.3)."""

    column: str = option(
        "column of the image table that names the domain of an image, such as style", "", metavar="NAME"
    )
    unseen: tuple[str, ...] | None = option(
        "domains that the encoder was not trained on; no probe of several domains learns from them",
        None,
        metavar="A,B",
        left_out="none",
    )
    prefix: int | None = option(
        "features of the domain prefix, the first of a representation",
        None,
        metavar="K",
        left_out="that of the encoder's training",
    )
    method: str = option(
        "map of each part; umap is added to pca and needs the package umap-learn", "pca", choices=MAP_METHODS
    )
    sample: int = option(
        "train and evaluation images that the tests read, each", 50_000, metavar="N", minimum=1
    )
    seed: int = option("random seed of sample, probes and maps", 0, metavar="N", minimum=0)


def check_domain_options(options: Mapping[str, Any]) -> None:
    """Require the column of the domains, and a prefix that can be one."""
    if not options.get("column"):
        raise SettingsError("which column names the domain of an image? Give --column NAME, such as style")
    if options.get("prefix") is not None and options["prefix"] < 1:
        raise SettingsError(f"--prefix must be at least 1, got {options['prefix']}")
    check_map_options({"method": options.get("method")})

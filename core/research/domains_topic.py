"""What the topic adds to the workbench, its settings, and what its summary says. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.common.step_facts import StepFacts
from core.common.topics import ImageSet, Topic
from core.config.analysis import MAP_METHODS
from core.config.checks import check_map_options
from core.config.settings import option
from core.config.step import IN_BATCHES, Step
from core.errors import SettingsError

# What the summary of the step `domains` may say. No torch.


@dataclass(frozen=True)
class DomainsFacts(StepFacts):
    """How well probes read the domain of an image; None where undefined.

    Attributes:
        column: that names the domains. domains, unseen: their names, and those of no train image. prefix:
            features that hold the domain. base_rate: of the largest domain. domain_KIND_PART: the accuracy of
            a probe on all features, the prefix or the rest. cautions: one sentence each.
    """

    step = "domains"
    column: str = ""
    domains: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    prefix: int | None = None
    base_rate: float | None = None
    domain_linear_all: float | None = None
    domain_linear_prefix: float | None = None
    domain_linear_rest: float | None = None
    domain_mlp_all: float | None = None
    domain_mlp_prefix: float | None = None
    domain_mlp_rest: float | None = None
    cautions: tuple[str, ...] = ()

    def best_probe(self, part: str) -> float | None:
        """The accuracy of the better probe on "all" features, the "prefix" or the "rest", if any."""
        values = [getattr(self, f"domain_{kind}_{part}") for kind in ("linear", "mlp")]
        return max((value for value in values if value is not None), default=None)


# What the topic adds to the workbench, and the settings of its step. No torch.


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


def _check_domain_options(options: Mapping[str, Any]) -> None:
    """Require the column of the domains, and a prefix that can be one."""
    if not options.get("column"):
        raise SettingsError("which column names the domain of an image? Give --column NAME, such as style")
    if options.get("prefix") is not None and options["prefix"] < 1:
        raise SettingsError(f"--prefix must be at least 1, got {options['prefix']}")
    check_map_options({"method": options.get("method")})


TOPIC = Topic(
    steps=(
        Step(
            name="domains",
            title="Domains",
            doing="Testing what the representations tell of the domain",
            summary="test how much of the domain the representations and their parts tell",
            example="domains studies/mine --column style --unseen pastel",
            weight=0,
            config=DomainTestsConfig,
            function="core.research.domains_step:compute_domains",
            inputs=("representations", "images", "firing_by_feature_ptr", "firing_by_feature_rows"),
            needs=("embed", "features"),
            outputs=(
                *("domains", "domain_probes", "domain_classes", "domain_twins", "domain_features"),
                *("domain_jaccard", "domain_map"),
            ),
            options=("column", "unseen"),
            running=IN_BATCHES,
            check=_check_domain_options,
            on_request=True,
        ),
    ),
    charts=("core.research.domains_figures:DDM_FEATURES", "core.research.domains_figures:DDM_MAP"),
    image_sets=(
        ImageSet("domains", "core.research.domains_images:DomainFolders"),
        ImageSet("tinted", "core.research.domains_images:TintedSource"),
    ),
    training="core.research.domains_section:SECTION",
)

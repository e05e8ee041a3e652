"""Settings of domain-disentangled training (docs/method.md 14). No torch."""

from dataclasses import dataclass

from core.config import option
from core.errors import SettingsError
from core.training.checks import check_settings

CLUSTER, FOLDER, COLUMN = "cluster", "folder", "column:"
RULES = ("paper", "nearest")
AUTO = "auto"
OWN_TEMPERATURE = ("simclr", "moco", "swav", "dino")  # methods whose temperature the prefix shares
TEMPERATURE = 0.2  # of the prefix, for the others


@dataclass(frozen=True)
class DomainsConfig:
    """The settings table [domains]. Without `labels` the method is trained as usual.

    `weight`, `critic_lr` and the share of the prefix are Kalibhat's; `penalty` is WGAN-GP's; the rest is
    ours.
    """

    # "column:NAME" of the image table, "folder" for DOMAIN/CLASS/IMAGE, or "cluster"; None: no domains
    labels: str | None = None
    n_domains: int | None = option("number of clusters", None, minimum=2)
    truth: str | None = (
        None  # cluster: the column or "folder" that the clusters are compared with, in the log
    )
    prefix: int | None = None  # features of the domain prefix; None: a sixteenth, Kalibhat's 24 of 384
    temperature: float | None = None  # of the prefix; None: the method's, or 0.2
    weight: float = 0.5  # lambda, of the method's own loss
    variant: float = 1.0  # weight of the domain-variant objective; 0: left out
    invariant: float = 1.0  # weight of the domain-invariant objective; 0: left out, and no critic is trained
    # which features the method's head reads
    ssl_reads: str = option("features that the head reads", "rest", choices=("rest", "all"))
    # unit: length 1, at which the critic keeps a gradient where domains lie apart; normalised: sqrt(r - k),
    # at which it does not (docs/method.md 14.1); raw: W could become small by making the rest short.
    critic_reads: str = option(
        "scale of what the critic reads", "unit", choices=("unit", "normalised", "raw")
    )
    critic_hidden: int = option("units of both hidden layers", 256, minimum=1)
    critic_slope: float = 0.2  # of LeakyReLU
    critic_lr: float = 0.005  # falls along half a cosine to 0
    critic_steps: int = option("critic steps per encoder step", 1, minimum=1)
    penalty: float = 10.0  # weight of the gradient penalty
    balanced: bool = False  # batches with as many images of each domain
    cluster_on: str = option("features that are clustered", "all", choices=("all", "prefix"))
    robust: bool = True  # False: plain k-means, every row keeps its cluster
    rule: str = option("when a row is an outlier", "paper", choices=RULES)
    # keep: they only lose the two domain terms
    outliers: str = option("what becomes of outliers", "keep", choices=("keep", "drop"))
    outlier_threshold: float | str = 1.0  # epsilon of the first clustering, or "auto"
    warmup: float = 0.1  # share of the training before the first clustering
    every: float = 0.1  # share of the training between two clusterings
    cluster_rows: int = option("rows that k-means reads", 50_000, minimum=2)


def check_domains(config: DomainsConfig) -> None:
    """Raise SettingsError for the first setting of the research step `domains` that cannot work."""
    check_settings(config, prefix="domains.")
    _check_labels(config)
    for name in ("weight", "variant", "invariant", "penalty", "critic_slope"):
        if not 0 <= getattr(config, name) < float("inf"):
            raise SettingsError(f"domains.{name} = {getattr(config, name)} must be 0 or more.")
    for name in ("temperature", "critic_lr"):
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf"):
            raise SettingsError(f"domains.{name} = {value} must be above 0.")
    if config.prefix is not None and config.prefix < 0:
        raise SettingsError(f"domains.prefix = {config.prefix} must be 0 or more.")
    if config.prefix == 0 and config.variant:
        raise SettingsError("domains.prefix = 0 leaves no features for the domain-variant objective.")
    if not 0 <= config.warmup < 1 or not 0 < config.every <= 1:
        raise SettingsError(
            f"domains.warmup = {config.warmup} and domains.every = {config.every} must be shares of the "
            "training, the first below 1 and the second above 0."
        )
    threshold = config.outlier_threshold
    if threshold != AUTO and (isinstance(threshold, str) or not threshold >= 0):
        raise SettingsError(f"domains.outlier_threshold = {threshold!r} must be 0 or more, or '{AUTO}'.")


def _check_labels(config: DomainsConfig) -> None:
    for name in ("labels", "truth"):
        value = getattr(config, name)
        accepted = (FOLDER, CLUSTER) if name == "labels" else (FOLDER,)
        named = value is not None and value.startswith(COLUMN) and len(value) > len(COLUMN)
        if value is not None and not named and value not in accepted:
            expected = ", ".join(f"'{value}'" for value in accepted)
            raise SettingsError(f"domains.{name} = '{value}' must be 'column:NAME' or {expected}.")
    if config.labels == CLUSTER and config.n_domains is None:
        raise SettingsError(
            "domains.labels = 'cluster' needs n_domains: the number of domains is not estimated. Where it is "
            "unknown, cluster those of a plain training into 2 to 8 and take the best silhouette."
        )

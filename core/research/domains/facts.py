"""What the summary of the step `domains` may say. No torch."""

from dataclasses import dataclass

from core.common.step_facts import StepFacts


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

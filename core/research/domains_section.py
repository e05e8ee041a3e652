"""The table [domains] of a training, and the method that it asks for. No torch until a training starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import SettingsError
from core.research.domains_config import DomainsConfig, check_domains
from core.training.config import TrainingSection, has_two_encoders

if TYPE_CHECKING:
    import numpy as np

    from core.training.config import TrainConfig
    from core.training.setup import Build


def _check_training(config: TrainConfig) -> None:
    """Raise SettingsError for the first setting of a training with domains (research) that cannot work."""
    check_domains(config.sections["domains"])
    if config.sections["domains"].labels is not None and has_two_encoders(config):
        raise SettingsError(
            "objective.dual has a second encoder that [domains] does not split: leave out domains.labels, "
            "or set objective.dual = false."
        )


def disentangled(
    config: TrainConfig, source: Any, rows: np.ndarray, note: Callable[[str], None]
) -> Build | None:
    """Read the domains of the training images, and return what splits representations by them."""
    settings = config.sections["domains"]
    if settings.labels is None:
        return None
    from core.research.domains_disentangled import Disentangled
    from core.research.domains_labels import domain_labels

    labels = domain_labels(settings, source, rows)
    for text in labels.notes:
        note(f"warning: {text}")
    return partial(Disentangled, labels=labels)


SECTION = TrainingSection(
    "domains", DomainsConfig, _check_training, "core.research.domains_section:disentangled"
)

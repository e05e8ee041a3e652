"""The fixtures of the rooms that the topics build on."""

from __future__ import annotations

import numpy as np
import pytest

from tests.charts.conftest import other_images as other_images
from tests.charts.conftest import pictured as pictured
from tests.training.conftest import TinySource
from tests.training.conftest import stopping_at as stopping_at
from tests.training.conftest import tiny_config as tiny_config
from tests.training.conftest import tiny_source as tiny_source

# The tiny world with a domain beside the class.


class TwoDomains(TinySource):
    """The domain shows: its images are darker."""

    def __init__(self):
        super().__init__()
        codes = np.arange(80) // 2 % 2
        self.images = np.where(codes[:, None, None, None] == 1, self.images // 3, self.images)
        self.extras["all"] = "one"

    def fingerprint(self) -> str:
        return "tiny in two domains"


@pytest.fixture
def two_domains(monkeypatch: pytest.MonkeyPatch) -> TwoDomains:
    """Makes `train` open that world whatever `images` says."""
    source = TwoDomains()
    monkeypatch.setattr("core.training.setup.open_training_images", lambda config: source)
    return source

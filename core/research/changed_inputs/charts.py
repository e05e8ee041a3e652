"""The charts of the topic."""

from __future__ import annotations

from core.research.changed_inputs.figures import PERTURBED_SHEET, ROBUST_BARS

CHARTS = (PERTURBED_SHEET, ROBUST_BARS)

"""The settings of the embedded studies."""

from __future__ import annotations

import sys
from importlib import util

import pytest

from core.pipeline import demo
from core.steps import in_analysis, settings_of


@pytest.mark.parametrize("installed", [True, False])
def test_demo__maps_by_umap_where_it_is_installed(monkeypatch, installed):
    monkeypatch.delitem(sys.modules, "umap", raising=False)
    found = util.find_spec
    monkeypatch.setattr(
        "core.config.checks.find_spec", lambda name: installed if name == "umap" and installed else
        None if name == "umap" else found(name)
    )  # fmt: skip
    for name in demo.ENCODERS:
        options = demo.demo_settings(name)
        assert settings_of("map", options).method == ("umap" if installed else "pca")
        for step in in_analysis():
            settings_of(step, options)  # no other step stumbles over the setting of the map

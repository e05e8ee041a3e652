"""Studies with heatmaps, made once."""

from __future__ import annotations

import shutil

import pytest
import torch

from tests.analysis.heatmap_studies import VIT, heatmaps, make, make_images
from tests.shared import made_once


@pytest.fixture(scope="module")
def one_thread():
    """Networks this small lose time to threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return made_once(tmp_path_factory, "pictures", lambda at: make_images(at / "images")) / "images"


@pytest.fixture(scope="session")
def embedded(tmp_path_factory, pictures):
    """A study up to `features`; to be copied."""
    return made_once(tmp_path_factory, "embedded", lambda at: make(at / "embedded", pictures)) / "embedded"


@pytest.fixture(scope="session")
def finished(tmp_path_factory, embedded):
    """One with heatmaps, for tests that only read."""

    def finish(folder):
        heatmaps(shutil.copytree(embedded, folder / "finished"), top=2)

    return made_once(tmp_path_factory, "finished", finish) / "finished"


@pytest.fixture
def copy(tmp_path, embedded):
    return shutil.copytree(embedded, tmp_path / "study")


@pytest.fixture
def own(tmp_path):
    """A study with images of its own, to be harmed."""
    return make(tmp_path / "own", make_images(tmp_path / "images"))


@pytest.fixture(scope="session")
def vit_study(tmp_path_factory, pictures):
    folder = make(tmp_path_factory.mktemp("studies") / "vit", pictures, VIT)
    heatmaps(folder, top=0)
    return folder

"""The files that ship: in a checkout beside the code, in an installed package inside it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from core.common import assets

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_a_checkout_keeps_them_beside_the_code():
    assert assets.assets_folder() == ROOT / "assets"
    assert assets.configs_folder() == ROOT / "configs"
    assert assets.asset("clip/glyphworld.json").is_file()


def test_an_installed_package_keeps_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("core/_assets/encoders", "core/_configs", "assets", "configs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "core/_assets/encoders/mine.safetensors").touch()
    monkeypatch.setattr(assets, "PACKAGE", tmp_path / "core")
    monkeypatch.setattr(assets, "CHECKOUT", tmp_path)
    assert assets.assets_folder() == tmp_path / "core/_assets"
    assert assets.configs_folder() == tmp_path / "core/_configs"
    assert assets.asset_names("encoders", ".safetensors") == ["mine"]


def test_version__of_a_checkout_is_that_of_its_pyproject(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(assets.metadata, "version", lambda name: "0.0.1")  # of an older installation
    assert assets.version() == PROJECT["version"]


def test_version__of_an_installed_package_is_that_of_its_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(assets, "CHECKOUT", tmp_path)
    monkeypatch.setattr(assets.metadata, "version", lambda name: f"{name} 1.2.3")
    assert assets.version() == f"{PROJECT['name']} 1.2.3"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "9"\n')
    assert assets.version() == f"{PROJECT['name']} 1.2.3"


def test_version__without_any_metadata_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> str:
        raise assets.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(assets, "CHECKOUT", tmp_path)
    monkeypatch.setattr(assets.metadata, "version", missing)
    assert assets.version() == "unknown"


def test_version__is_the_one_that_is_cited_and_described():
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    described = re.search(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert cited and described and cited[1] == described[1] == PROJECT["version"]
    wheels = re.findall(r"peregrine_vision-(.+?)-py3", (ROOT / "docs" / "start.md").read_text())
    assert set(wheels) == {PROJECT["version"]}

"""What pyproject.toml cannot say: which folders are copied into the package, and what it needs to run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = {"assets": "core/_assets", "configs": "core/_configs"}  # core/common/assets.py looks there
# Lines of the requirements files that the installed package does not need: extra, and the packages in it.
EXTRAS = {
    "tensorboard": ("tensorboard",),
    "umap": ("umap-learn",),
    "heic": ("pillow-heif",),
    "tiff": ("imagecodecs",),
    "mcp": ("mcp",),
    "s3": ("s3fs",),
}
FOR_TESTS = ("pytest",)


def requirements(file: str) -> dict[str, str]:
    """Map each package of a requirements file to its line."""
    text = (ROOT / file).read_text(encoding="utf-8")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return {re.split(r"[<>=\[ ]", line)[0]: line for line in lines if line[:1].isalpha()}


class BuildWithShippedFolders(build_py):
    """Copy `assets/` and `configs/` into the package, and leave nothing of an earlier build in it."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for folder, target in SHIPPED.items():
                shutil.copytree(ROOT / folder, Path(self.build_lib) / target)


needed = requirements("requirements.txt")
known = needed | requirements("requirements-dev.txt")
optional = {name: [known[package] for package in packages] for name, packages in EXTRAS.items()}
not_needed = {*FOR_TESTS, *(package for packages in EXTRAS.values() for package in packages)}
runtime = [line for package, line in needed.items() if package not in not_needed]
setup(
    cmdclass={"build_py": BuildWithShippedFolders},
    install_requires=runtime,
    extras_require={**optional, "dev": [line for line in known.values() if line not in runtime]},
)

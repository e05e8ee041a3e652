"""The fixtures of the rooms that the topics build on."""

from tests.figures.conftest import other_images, pictured
from tests.training.conftest import stopping_at, tiny_config, tiny_source

__all__ = ["other_images", "pictured", "stopping_at", "tiny_config", "tiny_source"]

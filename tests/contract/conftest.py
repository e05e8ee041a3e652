"""The fixtures of trainings, for the contracts that they keep as steps do."""

from tests.training.conftest import stopping_at, tiny_config, tiny_source  # noqa: F401

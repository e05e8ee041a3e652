"""What an interrupted training leaves: it is gone on with, or refused in one line."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import SettingsError
from core.training import files
from core.training.trainer import TrainingRun, train


@pytest.mark.slow
def test_resume__of_another_version_is_refused_and_nothing_is_lost(tiny_source, tiny_config, stopping_at):
    with stopping_at(5), pytest.raises(KeyboardInterrupt):
        train(tiny_config())
    path = files.resume_path(Path(tiny_config().output))
    state = torch.load(path, weights_only=True)
    del state["settings"]["weight_decay_end"]
    torch.save(state, path)
    with pytest.raises(SettingsError) as caught:
        train(tiny_config())
    message = str(caught.value)
    assert f"'{path}'" in message and "--fresh" in message and "\n" not in message
    assert "weight_decay_end" not in message  # no other setting, which could be changed back
    assert torch.load(path, weights_only=True)["step"] == 5


@pytest.mark.slow
def test_run__writes_the_log_that_a_killed_process_did_not(tiny_source, tiny_config, monkeypatch):
    """The state after the last step is stored before the log's last line."""

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "write_log", killed)
        train(tiny_config(epochs=1))
    output = Path(tiny_config().output)
    assert files.resume_path(output).exists() and not files.log_path(output).exists()
    train(tiny_config(epochs=1))
    assert files.log_path(output).read_text().startswith("epoch,loss")
    assert not files.resume_path(output).exists()


@pytest.mark.slow
def test_train__shortened_is_complete_and_a_fresh_one_leaves_nothing(tiny_source, tiny_config, stopping_at):
    with stopping_at(8), pytest.raises(KeyboardInterrupt):
        train(tiny_config(epochs=4))  # of 4 steps each
    output = train(tiny_config(epochs=2))
    assert train(tiny_config(epochs=2)) == output
    other = files.companion_path(output, files.COMPANIONS[0])  # of a method with two networks
    other.touch()
    train(tiny_config(epochs=1), fresh=True)
    assert output.exists() and not other.exists()


@pytest.mark.slow
def test_train__weights_whose_state_could_not_be_saved_are_not_finished(
    tiny_source, tiny_config, monkeypatch
):
    def full(run: TrainingRun) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="space"):
        patch.setattr(TrainingRun, "save", full)
        train(tiny_config())
    output = Path(tiny_config().output)
    assert output.exists() and not files.resume_path(output).exists()
    assert json.loads(files.sidecar_path(train(tiny_config())).read_text())["epochs"] == 2


@pytest.mark.slow
def test_train__keeps_the_weights_of_an_epoch_after_whose_state_it_was_killed(
    tiny_source, tiny_config, monkeypatch
):
    real = TrainingRun.save

    def killed(run: TrainingRun) -> None:
        real(run)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingRun, "save", killed)
        train(tiny_config(keep_every=1))
    output = train(tiny_config(keep_every=1))
    assert [files.kept_path(output, epoch).exists() for epoch in (1, 2)] == [True, True]

"""All comparisons with peers, by name."""

from __future__ import annotations

from benchmarks.peers import checkouts, dictionaries, grad_cam, scikit_learn, semantic_lens

TASKS = {
    f"{task.peer.name}, {task.name}": task
    for module in (scikit_learn, grad_cam, semantic_lens, checkouts, dictionaries)
    for task in module.TASKS
}

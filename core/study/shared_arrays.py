"""Arrays of one step whose chunks are written by all processes of a torchrun, each doing its share."""

from collections.abc import Collection, Sequence
from typing import Any

from core.study.writer import StepWriter


class SharedArrays:
    """The chunks of some arrays: which are there, which this process has to write, and how they end.

    Args:
        names: of the arrays, which have the same number of chunks. mark: the one that is written last, beside
            whose chunks lies what is to be known of all arrays.
    """

    def __init__(self, step: StepWriter, names: Sequence[str], n_chunks: int, *, mark: str):
        self.step, self.names, self.n_chunks = step, names, n_chunks
        with step.ranks.first():
            self.writers = [step.array(name) for name in names]
        self.mark = step.array(mark)

    def has(self, chunk: int) -> bool:
        return all(writer.has(chunk) for writer in self.writers)

    def todo(self, done: Collection[int]) -> list[int]:
        """The chunks that this process has to write."""
        return [chunk for chunk in range(self.n_chunks) if chunk not in done and self.step.ranks.owns(chunk)]

    def collect(self) -> list[Any]:
        """Wait for the other processes, and return what lies beside each chunk, in order.

        Only the first process goes on: the others leave the step.
        """
        self.step.leave_to_first()
        self.mark.refresh()
        return [self.mark.extra(chunk) for chunk in range(self.n_chunks)]

    def finish(self) -> None:
        """Enter the arrays, of which every chunk is there, among the items of the step."""
        for name in self.names:
            self.step.finish_array(name, self.n_chunks)

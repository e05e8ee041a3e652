"""How many pictures a network reads at a time, and how many decoded batches wait for it."""


# How many bytes of pictures are held at a time: the one home of these bounds. No torch.

# The float32 input of one pass through a network on a processor: 16 pictures of 224 pixels. What a network
# holds of them meanwhile is many times as much.
PASS_BYTES = 10_000_000
QUEUE_BYTES = 1_000_000_000  # decoded batches that wait in the queue of all workers together
ANY_NUMBER = 1 << 40
MOST_WAITING = 4  # batches of a worker


def pictures_in(n_bytes: int, each: int) -> int:
    """Return how many pictures of `each` bytes an encoder's pass may take in `n_bytes`: at least one."""
    return max(1, n_bytes // max(each, 1))


def pictures_a_pass(device_type: str, n_values: int) -> int:
    """Return how many pictures a network reads at a time, of `n_values` numbers each; on a GPU any number."""
    return pictures_in(PASS_BYTES, 4 * n_values) if device_type == "cpu" else ANY_NUMBER


def waiting_batches(workers: int, batch_bytes: int) -> int:
    """Return how many decoded batches of each worker may wait for an encoder's pass: 1 to MOST_WAITING."""
    return min(MOST_WAITING, pictures_in(QUEUE_BYTES, workers * batch_bytes))

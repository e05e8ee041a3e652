import numpy as np
import pytest

from core.worlds.captions import N_SPECIAL, PAD, START, UNKNOWN, WordTokenizer


@pytest.fixture
def tokenizer():
    return WordTokenizer(["a", "dog", "high-heeled", "shoe"], 6)


def test_tokens__by_hand(tokenizer):
    a, dog, heeled, shoe = range(N_SPECIAL, N_SPECIAL + 4)
    end = tokenizer.end
    rows = tokenizer(["A dog!", "high-heeled shoes", "a zebra", "", "a a a a a a a"])
    assert rows.tolist() == [
        [START, a, dog, end, PAD, PAD],
        [START, heeled, shoe, end, PAD, PAD],
        [START, a, UNKNOWN, end, PAD, PAD],
        [START, end, PAD, PAD, PAD, PAD],
        [START, a, a, a, a, end],
    ]


def test_tokens__the_end_has_the_highest_number(tokenizer):
    """open_clip reads a text's embedding where the number is largest."""
    rows = tokenizer(["a dog", "a high-heeled shoe in the grass today"])
    assert tokenizer.vocab_size == tokenizer.end + 1
    assert (rows.argmax(1) == [(row == tokenizer.end).argmax() for row in rows]).all()
    assert rows.max() == tokenizer.end


def test_tokens__one_text_or_none(tokenizer):
    np.testing.assert_array_equal(tokenizer("a dog"), tokenizer(["a dog"]))
    assert tokenizer([]).shape == (0, 6)

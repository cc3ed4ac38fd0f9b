"""An encoder and ten words as a filter: nothing of a sound passes but its codes."""

import numpy as np
import pytest
import torch

from sottovoce.errors import ModelError
from sottovoce.methods.digits import method as digits
from sottovoce.models.digit_codes import BLANK
from sottovoce.models.digit_encoder import DigitEncoder
from sottovoce.models.word_table import WordTable

TABLE = WordTable(np.random.default_rng(0).random((10, 161, 8), dtype=np.float32))


def noise(samples: int, seed: int, level: float) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def network(decided: float) -> DigitEncoder:
    """Untrained; `decided` is how sure it is of the blank."""
    torch.manual_seed(0)
    encoder = DigitEncoder(width=16, hidden=12).eval().requires_grad_(False)
    encoder.output.weight.mul_(20.0)
    encoder.output.bias[BLANK] += decided
    return encoder


@pytest.mark.parametrize("pace", ["even", "steady", "live"])
def test_two_sounds_with_equal_codes_are_one_sound_afterwards(pace):
    filter_ = digits.word_filter(network(decided=1e3), TABLE, pace)
    loud, faint = noise(16000, 0, 0.3), noise(15800, 1, 0.001)
    assert set(filter_.codes([loud])) == {BLANK}
    assert np.array_equal(filter_.filter(loud), filter_.filter(faint))


@pytest.mark.parametrize("pace", ["even", "steady", "live"])
def test_what_leaves_is_drawn_from_the_codes(pace):
    filter_ = digits.word_filter(network(decided=0.0), TABLE, pace)
    wav = noise(32000, 0, 0.1)
    codes = list(filter_.codes([wav]))
    assert len(codes) == 50 and len(set(codes)) > 1
    assert np.array_equal(filter_.filter(wav), TABLE.draw(codes, pace))


def test_a_file_of_words_that_holds_none_is_refused(tmp_path):
    path = tmp_path / "words.safetensors"
    path.write_bytes(b"not words")
    with pytest.raises(ModelError, match="does not hold the words"):
        digits.table(path, torch.nn.Identity(), [], 1, 0)

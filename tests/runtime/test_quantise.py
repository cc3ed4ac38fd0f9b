"""A filter in 8 bits is a filter like any other, and says how far it is from what it was made of."""

import numpy as np
import pytest

from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.checkpoint import read_folder
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.quantise import quantise


def test_it_is_nearly_the_same_filter(filter_folder, tmp_path):
    card = quantise(filter_folder, tmp_path / "small")
    segments = np.random.default_rng(0).standard_normal((3, SEGMENT_SAMPLES), dtype=np.float32)
    before, after = (Filter.load(place).obfuscate(segments) for place in (filter_folder, tmp_path / "small"))
    difference = float(np.sqrt(np.square(after - before).mean()))
    assert 0.0 < difference < 0.2
    assert card["deviation"] == pytest.approx(difference, rel=2.0)


def test_the_card_keeps_what_it_said(filter_folder, tmp_path):
    before, after = read_folder(filter_folder, "filter"), quantise(filter_folder, tmp_path / "small")
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed == {"quantised", "deviation", "files"}
    assert read_folder(tmp_path / "small", "filter") == after


def test_what_is_in_8_bits_or_no_filter_is_refused(filter_folder, tmp_path):
    quantise(filter_folder, tmp_path / "small")
    with pytest.raises(ConfigError, match="8 bits already"):
        quantise(tmp_path / "small", tmp_path / "smaller")
    with pytest.raises(ModelError, match="not a folder"):
        quantise(tmp_path / "none", tmp_path / "smaller")

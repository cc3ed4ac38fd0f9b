"""Sample rates as Python callers have them: any number that is whole, and a sentence for anything else."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import soundfile

from sottovoce.audio import io, writer
from sottovoce.errors import ConfigError
from sottovoce.runtime import bundled
from sottovoce.runtime.files import protect
from sottovoce.runtime.filter import Filter

WHOLE = [16000, 16000.0, np.int64(16000), np.uint16(16000), np.float32(16000), Decimal(16000), Fraction(16000)]
REFUSED = [
    44100.5,
    np.float32(8000.5),
    True,
    np.True_,
    float("nan"),
    float("inf"),
    -16000,
    0,
    10**400,
    10**5000,
    "16000",
    b"16000",
    "x" * 999,
    None,
    [16000],
    np.array([16000, 8000]),
    16000j,
]


@pytest.fixture(scope="module")
def digit():
    return Filter.load(bundled.find("digit"))


@pytest.fixture(scope="module")
def wav():
    return (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)


@pytest.mark.parametrize("rate", WHOLE, ids=repr)
def test_any_whole_number_is_a_rate(digit, wav, rate, tmp_path):
    np.testing.assert_array_equal(digit.filter(wav, rate), digit.filter(wav, 16000))
    stream = digit.stream(rate, rate)
    assert type(stream.sample_rate) is int and stream.latency_samples == digit.stream(16000).latency_samples
    writer.write(tmp_path / "a.wav", wav, rate)
    assert soundfile.info(tmp_path / "a.wav").samplerate == 16000
    np.testing.assert_array_equal(io.read(tmp_path / "a.wav", rate), io.read(tmp_path / "a.wav"))
    protect(digit, tmp_path / "a.wav", tmp_path / "b.wav", rate)
    assert soundfile.info(tmp_path / "b.wav").samplerate == 16000


@pytest.mark.parametrize("rate", REFUSED, ids=lambda rate: str(type(rate).__name__))
def test_what_is_no_whole_number_is_one_sentence(digit, wav, rate, tmp_path):
    writer.write(tmp_path / "a.wav", wav)
    calls = [
        lambda: digit.filter(wav, rate),
        lambda: digit.stream(rate),
        lambda: io.read(tmp_path / "a.wav", rate),
        lambda: writer.write(tmp_path / "b.wav", wav, rate),
    ]
    if rate is not None:  # which means the rate of the input
        calls += [
            lambda: digit.stream(16000, rate),
            lambda: protect(digit, tmp_path / "a.wav", tmp_path / "b.wav", rate),
        ]
    for call in calls:
        with pytest.raises(ConfigError, match=r"sample_rate is .* whole number") as error:
            call()
        assert len(str(error.value)) < 200
    assert not (tmp_path / "b.wav").exists()

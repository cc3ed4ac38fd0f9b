"""Laws of what travels: sound survives its encoding, and nothing that a stranger sends is believed unchecked."""

import contextlib
import json
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sottovoce.errors import AudioError, ConfigError, SottovoceError
from sottovoce.runtime.pcm import decode, encode
from sottovoce.serve.wire import Hello, encode_features, parse_object

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    audioop = pytest.importorskip("audioop", reason="the reference for mu-law left Python in 3.13")

samples = arrays.arrays(np.int16, st.integers(0, 300))


@given(samples)
def test_sixteen_bits_come_back(coded):
    content = coded.astype("<i2").tobytes()
    assert encode(decode(content, "s16le"), "s16le") == content


def test_mu_law_is_that_of_the_reference():
    every = np.arange(-(2**15), 2**15).astype("<i2")
    reference = audioop.lin2ulaw(every.tobytes(), 2)
    found = encode(every.astype(np.float32) / np.float32(2**15), "mulaw")
    expanded = [audioop.ulaw2lin(code, 2) for code in (reference, found)]
    one, other = (np.frombuffer(part, "<i2").astype(int) for part in expanded)
    # At the edge between two codes the reference cuts the last two bits off first: it may choose the neighbour.
    step = (np.maximum(np.abs(one), np.abs(other)) + 132) / 16
    assert (np.abs(one - other) <= step).all() and (one == other).mean() > 0.9
    codes = bytes(range(256))
    np.testing.assert_array_equal(
        decode(codes, "mulaw"), np.frombuffer(audioop.ulaw2lin(codes, 2), "<i2") / np.float32(2**15)
    )


@given(st.binary(max_size=400))
def test_float_samples_are_finite_and_of_a_sound(content):
    whole = content[: len(content) // 4 * 4]
    heard = decode(whole, "f32le")
    assert np.isfinite(heard).all() and (np.abs(heard) <= 1e6).all()
    with pytest.raises(AudioError, match="bytes"):
        decode(whole + b"!", "f32le")


def test_loud_sound_is_clipped():
    assert encode(np.array([2.0, -2.0], np.float32), "s16le") == np.array([32767, -32768], "<i2").tobytes()


def test_features_go_frame_by_frame():
    features = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.frombuffer(encode_features(features), "<f4").tolist() == [0, 2, 4, 1, 3, 5]


def test_a_hello_says_what_is_wanted():
    text = '{"sample_rate": 8000, "encoding": "mulaw", "permit": ["digit"], "output": "features", "pace": "wait"}'
    assert Hello.parse(text) == Hello(8000, "mulaw", "features", "wait", ("digit",))
    assert Hello.parse("{}") == Hello()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "{",
        "[" * 3000,
        '{"sample_rate": true}',
        '{"sample_rate": 1e4}',
        '{"sample_rate": 1}',
        '{"sample_rate": 999999999}',
        '{"encoding": "opus"}',
        '{"encoding": ["s16le"]}',
        '{"output": {}}',
        '{"pace": 3}',
        '{"permit": "digit"}',
        '{"permit": [1]}',
        '{"other": 1}',
        "[" * 4000,
        '{"permit": ' + "[" * 40 + "]" * 40 + "}",
        '{"sample_rate": NaN}',
        '{"sample_rate": 1e999}',
        '{"sample_rate": ' + "9" * 4000 + "}",
        '{"sample_rate": 8000, "sample_rate": 8000}',
        '{"permit": ["\\ud800"]}',
        json.dumps({"permit": ["x"] * 65}),
        json.dumps({"permit": ["x" * 5000]}),
    ],
)
def test_a_hello_that_makes_no_sense_is_refused_in_a_sentence(text):
    with pytest.raises(ConfigError) as caught:
        Hello.parse(text)
    assert len(str(caught.value)) < 300


def test_brackets_within_a_string_are_letters():
    assert parse_object(json.dumps({"a": '[{"\\' * 100})) == {"a": '[{"\\' * 100}
    assert parse_object('{"a": "é"}'.encode(), 100) == {"a": "é"}


@pytest.mark.parametrize("text", ['"\\"' * 60_000, '"' + '\\"' * 120_000, "[" * 250_000, '{"' * 120_000])
def test_no_text_takes_long(text):
    began = time.monotonic()
    with pytest.raises(ConfigError):
        parse_object(text, 1 << 18)
    assert time.monotonic() - began < 2.0


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_whatever_the_text_it_is_an_object_or_refused(text):
    for parse in (parse_object, Hello.parse):
        with contextlib.suppress(SottovoceError):
            parse(text)

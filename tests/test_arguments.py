"""A wrong argument of a public function is one sentence of a SottovoceError, never a bare TypeError or the like."""

from pathlib import Path

import numpy as np
import pytest

import sottovoce
from sottovoce.errors import SottovoceError
from sottovoce.methods.registry import METHODS
from sottovoce.training import target
from sottovoce.training.settings import choose

NO_CORPUS = {"corpus": "csv:none.csv", "out": "out"}
NO_TEXT = [None, 7, 1.5, b"x", {}, [None], object(), float("nan"), np.zeros((2, 3))]
NO_WAVE = [
    None,
    7,
    "x",
    {},
    [[0.0], [0.0, 0.0]],
    np.zeros(3, int),
    np.zeros(3, bool),
    np.zeros((2, 3)),
]
NO_NUMBER = [None, "x", 1.5, -1, True, [], float("nan"), 10**30]


@pytest.fixture(scope="module")
def filter_():
    return sottovoce.Filter.load("digit")


@pytest.fixture(scope="module")
def stream(filter_):
    return filter_.stream()


def refused(call, *given, **named):
    with pytest.raises(SottovoceError) as caught:
        call(*given, **named)
    assert len(str(caught.value).splitlines()) == 1 and str(caught.value).endswith("."), caught.value


@pytest.mark.parametrize("value", NO_TEXT, ids=repr)
def test_text_and_paths(value, filter_, stream):
    refused(sottovoce.Filter.load, value)
    refused(sottovoce.open_corpus, value)
    refused(sottovoce.load_target, value)
    refused(sottovoce.compare, value, value)
    refused(filter_.permitting, value)
    refused(stream.permitting, value)
    target, train, audit = sottovoce.train_target, sottovoce.train, sottovoce.audit
    for name in ("corpus", "task", "out", "preset"):
        refused(target, **{**NO_CORPUS, "task": "word", name: value})
    for name in ("corpus", "permit", "target", "out", "method", "preset"):
        refused(train, **{**NO_CORPUS, "permit": "word", "target": "none", name: value})
    for name in ("system", "corpus", "out", "attackers", "attack", "permit", "target"):
        refused(audit, **{"system": "digit", **NO_CORPUS, name: value})


@pytest.mark.parametrize("value", NO_WAVE, ids=repr)
def test_sounds(value, filter_, stream):
    refused(filter_.filter, value)
    refused(filter_.features, value)
    refused(filter_.sound, value)
    refused(stream.feed, value)
    refused(filter_.feature_stream().feed, value)


def test_what_is_not_finite_is_silence(filter_):
    wav = np.zeros(20480, np.float32)
    odd = wav.copy()
    odd[::3] = [np.nan, np.inf, -np.inf] * (len(odd[::3]) // 3) + [np.nan] * (len(odd[::3]) % 3)
    np.testing.assert_array_equal(filter_.filter(odd), filter_.filter(wav))
    np.testing.assert_array_equal(filter_.filter(np.full(20480, 1e300)), filter_.filter(wav))


@pytest.mark.parametrize("value", NO_NUMBER, ids=repr)
def test_numbers(value, filter_):
    refused(sottovoce.Filter.load, "digit", threads=value)
    refused(filter_.constant, value)
    refused(filter_.stream, value)
    refused(filter_.feature_stream, value)
    refused(sottovoce.train_target, **NO_CORPUS, task="word", steps=value)
    if value is not True:
        refused(filter_.forgetting, value)


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "momentum"])
def test_a_rate_has_a_ceiling_in_every_method(name):
    presets = [target.PRESETS, *(method.presets for method in METHODS.values())]
    having = [one for one in presets if any(hasattr(settings, name) for settings in one.values())]
    assert having
    for one in having:
        for value in ("nan", "1e30", "2"):
            refused(choose, one, next(iter(one)), {name: value}, "it")


def test_a_path_may_be_text_or_a_path():
    assert sottovoce.Filter.load(Path(sottovoce.Filter.load("digit").path)).permit == ("digit",)

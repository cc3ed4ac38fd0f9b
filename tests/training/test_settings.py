"""Settings by name: text becomes what the field holds, and what does not fit is one sentence with what is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from sottovoce.errors import ConfigError
from sottovoce.training.settings import Positive, assignments, choose


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    shape: tuple[int, int] = (1, 2)


@dataclass(frozen=True)
class Outer:
    steps: Positive = 10
    every: int = 0
    loud: bool = False
    kind: Literal["plain", "fancy"] = "plain"
    names: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=lambda: {"width": 4})
    inner: Inner = Inner()


PRESETS = {"usual": Outer(), "long": Outer(steps=1000)}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("steps", "5", Outer(steps=5)),
        ("every", "0", Outer(every=0)),
        ("loud", "True", Outer(loud=True)),
        ("kind", "fancy", Outer(kind="fancy")),
        ("names", "a, b", Outer(names=("a", "b"))),
        ("sizes.width", "8", Outer(sizes={"width": 8})),
        ("sizes.blocks", "2", Outer(sizes={"width": 4, "blocks": 2})),
        ("inner.rate", "1e-3", Outer(inner=Inner(rate=1e-3))),
        ("inner.shape", "3,4", Outer(inner=Inner(shape=(3, 4)))),
        ("inner.shape", (3, 4), Outer(inner=Inner(shape=(3, 4)))),
        ("steps", 7, Outer(steps=7)),
    ],
)
def test_a_value_takes_the_place_of_the_presets(name, text, expected):
    assert choose(PRESETS, "usual", {name: text}, "it") == expected
    assert PRESETS["usual"] == Outer(), "the preset itself never changes"


def test_the_others_are_those_of_the_preset():
    assert choose(PRESETS, "long", {"loud": "true", "inner.rate": "2"}, "it") == Outer(1000, 0, True, inner=Inner(2.0))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("steps", "0", "the setting steps is '0'; expected at least 1"),
        ("steps", "1.5", "whole number"),
        ("steps", 1.5, "whole number"),
        ("steps", "many", "whole number"),
        ("every", "-1", "from 0"),
        ("inner.rate", "nan", "number from 0 to 1,000,000,000"),
        ("inner.rate", "inf", "number from 0 to 1,000,000,000"),
        ("inner.rate", "1e30", "number from 0 to 1,000,000,000"),
        ("steps", "9" * 30, "whole number from 0 to 1,000,000,000"),
        ("steps", "9" * 5000, "whole number from 0 to 1,000,000,000"),
        ("loud", "maybe", "true or false"),
        ("kind", "odd", "expected plain or fancy"),
        ("inner.shape", "1", "2 values with commas"),
        ("inner.shape", "a,b", "whole number"),
        ("sizes.width", "wide", "whole number"),
        ("stepps", "5", "it has no setting 'stepps'; known: steps, every, loud, kind, names, sizes.SIZE, inner.rate"),
        ("inner", "5", "no setting 'inner'"),
        ("inner.depth", "5", "no setting 'inner.depth'"),
        ("steps.more", "5", "no setting 'steps.more'"),
        ("sizes", "5", "no setting 'sizes'"),
        ("", "5", "no setting ''"),
    ],
)
def test_what_does_not_fit_is_one_sentence(name, value, sentence):
    with pytest.raises(ConfigError, match=r"^[^\n]*[.]$") as refused:
        choose(PRESETS, "usual", {name: value}, "it")
    assert sentence in str(refused.value)


def test_an_unknown_preset_is_refused_with_those_that_are_known():
    with pytest.raises(ConfigError, match="no preset 'short'; known: usual, long"):
        choose(PRESETS, "short", {}, "it")


def test_assignments_are_names_and_values():
    assert assignments(["a=1", "b.c=x=y", "d="]) == {"a": "1", "b.c": "x=y", "d": ""}
    for texts in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(ConfigError, match="expected NAME=VALUE"):
            assignments(texts)

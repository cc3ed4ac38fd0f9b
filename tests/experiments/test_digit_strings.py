"""Digit strings: what an attacker who reads the codes knows of time."""

import numpy as np
import pytest

from sottovoce.experiments import digit_strings


@pytest.mark.parametrize("pace", ["even", "live"])
def test_the_outline_tells_of_time_only_at_a_live_pace(pace) -> None:
    quick, slow = [3, 1, 10, 4], [10] * 9 + [3, *[10] * 30, 1, *[10] * 25, 4, 10]
    same = np.array_equal(*(digit_strings.outline(codes, 10, pace) for codes in (quick, slow)))
    assert same == (pace == "even")


def test_the_standard_attackers_try_where_the_speaker_should_be_hidden_best() -> None:
    first, *others = digit_strings.EXPERIMENT.runs["compact"]
    assert (first.paces, first.attackers) == (("even", "steady", "live"), ("standard", "quick", "quick"))
    assert all({*each.attackers} == {"quick"} for each in others)


def test_codes_carry_no_more_than_their_rate_and_every_pace_is_told(miniature) -> None:
    interval = {"score": 0.5, "low": 0.4, "high": 0.6}
    speaker = {
        "chance": 0.5,
        "ceiling": {"score": 1.0},
        "leakage": {"score": 0.0, "low": -0.1, "high": 0.1},
        "strongest": {"attacker": "nobody", **interval},
        "verdict": "hidden",
    }
    pace = {
        "obfuscated": interval,
        "added": interval,
        "through_codes": interval,
        "audit": {"attackers": "quick", "valid": False, "private": {"speaker": speaker}},
    }
    paces = {"even": pace, "live": pace}
    result = {"seed": 0, "entropy_bits_per_block": 0.5, "original": interval, "floor": interval, **paces}
    text = digit_strings.TABLE.markdown([result])
    assert "| 0, even |" in text and "| 0, live |" in text and "steady" not in text
    assert "hidden" not in text and text.count("INVALID") == 2, "an audit whose controls failed has no verdict"
    assert text.startswith("at most 3.46 bits")

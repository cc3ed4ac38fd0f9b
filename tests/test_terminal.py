"""Text of others cannot command a terminal, and stays readable."""

import pytest

from sottovoce.terminal import cleaned, printable


@pytest.mark.parametrize("text", ["plain", "Ana", "小明", "naïve\u00a0é", "می\u200cخواهم", "👩\u200d🔬", "", "'\"\\"])
def test_names_of_people_stay_as_they_are(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\r", r"\r"),
        ("\x00\x07\x7f\x9b", r"\x00\x07\x7f\x9b"),
        ("\u202e\u2066\u200e\ufeff", r"\u202e\u2066\u200e\ufeff"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("caf\udce9", r"caf\udce9"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_moves_or_hides_text_is_an_escape(text, shown):
    assert printable(text) == shown


def test_lines_of_a_table_are_kept_and_those_of_a_name_are_not():
    assert printable("a\n\x1bb", keep="\n") == "a\n\\x1bb"
    assert cleaned({"a\nb": ["\x1b", ("\r", 1.5, None)]}) == {"a\\nb": ["\\x1b", ["\\r", 1.5, None]]}

"""The estimate counts only what was seen being done."""

import pytest

from sottovoce import progress
from sottovoce.progress import Progress, counted


@pytest.mark.parametrize("first", [1, 61])
def test_the_estimate_is_of_the_steps_that_were_seen(monkeypatch, capsys, first):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    report = Progress()
    report(0, 100, "begun")
    for step in range(first, 81):
        clock[0] += 2.0
        report(step, 100, "going")
    assert capsys.readouterr().err.splitlines()[-1] == "80/100  40 s left  going"


def test_nothing_is_estimated_from_nothing(capsys):
    Progress()(0, 100, "begun")
    assert capsys.readouterr().err == "0/100  begun\n"


def test_long_works_are_counted_as_they_come(capsys):
    assert list(counted(iter("abc"), 3, "works")) == ["a", "b", "c"]
    assert "3/3" in capsys.readouterr().err

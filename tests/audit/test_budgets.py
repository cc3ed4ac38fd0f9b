"""Which attackers an audit tries: those of the effort and every one that is installed, or those that were asked for."""

import pytest

from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.network import NetworkAttacker
from sottovoce.audit.budgets import EFFORTS, effort
from sottovoce.errors import ConfigError
from sottovoce.plugins import Plugin


@pytest.mark.parametrize("name", EFFORTS)
def test_without_others_an_effort_is_as_it_stands(name):
    assert effort(name) == EFFORTS[name]


@pytest.mark.parametrize("name", EFFORTS)
def test_every_installed_attacker_is_tried(name, monkeypatch):
    monkeypatch.setitem(ATTACKERS.plugins, "centroid", Plugin(ATTACKERS["nearest"], "a test", "1"))
    tried = effort(name)
    assert tried.informed[-1] == tried.uninformed[-1] == "centroid"
    assert tried.on_sound[-1:] == (("centroid",) if EFFORTS[name].on_sound else ())


def test_what_is_asked_for_is_all_that_is_tried():
    tried = effort("standard", ["linear", "svm"])
    assert tried.informed == tried.uninformed == tried.on_sound == ("linear", "svm")
    assert tried.cycles == EFFORTS["standard"].cycles


def test_what_is_unknown_is_refused():
    with pytest.raises(ConfigError, match=r"unknown attackers 'heroic'; known: quick, standard, thorough"):
        effort("heroic")
    with pytest.raises(ConfigError, match=r"unknown attacker 'mind-reader'; known: .*linear"):
        effort("quick", ["mind-reader"])


@pytest.mark.parametrize("name", EFFORTS)
def test_every_network_is_trained_in_every_effort_that_may_name_it(name):
    networks = {family for family in ATTACKERS if issubclass(ATTACKERS[family], NetworkAttacker)} - {"mlp"}
    assert all(EFFORTS[name].cycles[family] > 0 for family in networks)

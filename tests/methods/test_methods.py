"""Methods as such: one of somebody's own is one file, and what all have in common holds for it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sottovoce.cli.train import PRESETS
from sottovoce.errors import ConfigError
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.methods.method import Context, Estimate, Method, Trained
from sottovoce.methods.registry import METHODS
from sottovoce.models.architectures import build
from sottovoce.runtime.export import save_filter
from sottovoce.runtime.filter import Filter
from sottovoce.training.settings import Positive

TARGET = {"architecture": "deepspeech2", "settings.maps": 2, "settings.hidden": 8, "steps": 2, "batch": 4}
trainings: list[int] = []  # the width of each network that the method below made


@dataclass(frozen=True)
class ScrambleSettings:
    width: Positive = 4


def train(context: Context[ScrambleSettings]) -> Trained:
    trainings.append(context.settings.width)
    sizes = {"width": context.settings.width, "blocks": 1}
    network = build("compact-autoencoder", sizes).eval()
    return Trained(
        {"parameters": 0, "bits_per_block": None},
        lambda folder, card, targets: save_filter(
            folder, network, "compact-autoencoder", sizes, *context.loudness, card, targets
        ),
    )


METHOD = Method(
    "scramble", ScrambleSettings, {"compact": ScrambleSettings()}, train, lambda _: Estimate(5000, 3600.0), version="7"
)


@pytest.fixture
def config(shaped, tmp_path, monkeypatch) -> TrainConfig:
    """A training by a method that a program registers."""
    monkeypatch.setattr(METHODS, "_known", dict(METHODS.plugins))
    METHODS.register("scramble", METHOD)
    trainings.clear()
    silent = lambda *_: None  # noqa: E731
    make_target(shaped.spec, "word", tmp_path / "target", "quick", "utterance", 0, "", silent, TARGET)
    return TrainConfig(shaped.spec, ("word",), (tmp_path / "target",), tmp_path / "filter", "scramble")


def test_a_method_of_ones_own_is_one_file(config):
    notes: list[str] = []
    card = make_filter(replace(config, settings={"width": "6"}), lambda done, total, note: notes.append(note))
    assert json.loads((config.out / "card.json").read_text()) == card
    assert (card["method"], card["settings"]) == ("scramble", {"width": 6})
    assert card["method_version"].startswith("7+"), "what it states, and a digest of its source"
    assert Filter.load(config.out).permit == ("word",)
    score = card["validation"]["word"]
    assert score["recordings"] > 0 and 0.0 <= score["filtered"] <= 1.0 and 0.0 <= score["original"] <= 1.0
    (said,) = [note for note in notes if note.startswith("training")]
    assert "by the method scramble, preset compact" in said and "5,000 steps, roughly 60 min" in said
    assert "long for so little sound" in said


def test_the_same_training_is_kept_where_that_is_asked_for(config):
    again = replace(config, reuse=True)
    for settings in ({}, {}, {"width": 5}, {"width": 5}):
        make_filter(replace(again, settings=settings), lambda *_: None)
    make_filter(replace(config, settings={"width": 5}), lambda *_: None)
    assert trainings == [4, 5, 5], "a filter of other settings is trained anew, and all are without `reuse`"


def test_a_method_of_one_task_refuses_two_and_names_who_does_not(config):
    two = replace(config, permit=("word", "gender"), targets=config.targets * 2)
    with pytest.raises(ConfigError, match=r"'scramble' permits one task.*use --method codebook"):
        make_filter(two, lambda *_: None)


def test_the_help_of_the_command_names_every_method_and_preset():
    entries = dict(entry.split(": ") for entry in PRESETS.split("; "))
    listed = {name: presets for names, presets in entries.items() for name in names.split(" and ")}
    ours = METHODS.keys() - set(METHODS.outside())
    assert listed.keys() == ours
    assert {name: set(presets.split(", ")) for name, presets in listed.items()} == {
        name: set(METHODS[name].presets) for name in ours
    }


def test_every_preset_is_of_its_methods_settings():
    for name, method in METHODS.items():
        assert name == method.name and "compact" in method.presets
        assert all(isinstance(settings, method.settings) for settings in method.presets.values())


def test_the_folder_of_no_method_is_known_to_the_job():
    """What a method cannot do, its own file says."""
    source = Path(make_filter.__code__.co_filename).read_text(encoding="utf-8")
    assert not [name for name in METHODS if f'"{name}"' in source]

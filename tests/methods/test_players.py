"""The two trainings on sound: what they change, what they leave alone, and that their seed decides them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sottovoce.corpora.splits import split
from sottovoce.errors import ConfigError
from sottovoce.methods.optin import training as optin
from sottovoce.methods.optin.deobfuscator import Deobfuscator, target_loss
from sottovoce.methods.optin.settings import PRESETS, OptinSettings
from sottovoce.methods.optin.training import privacy_weight, train_optin
from sottovoce.models.target import Target, from_module
from sottovoce.training import loop
from sottovoce.training.loop import Run
from sottovoce.training.target import TargetSettings, train_target

TINY = OptinSettings(
    "compact-autoencoder", {"width": 4, "blocks": 1}, {"width": 4, "blocks": 1}, steps=4, batch=4, optimiser="adam"
)
SGD = replace(TINY, optimiser="sgd")


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture(scope="module")
def train_clips(shaped_once) -> np.ndarray:
    return split(shaped_once.manifest, "utterance").train


class Reader(nn.Module):
    """A recogniser of words that is right already: the tones that the corpus has, batch statistics that could move."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return self.norm(spectrum[:, [10, 14, 18]].mean(dim=2))


@pytest.fixture
def target() -> Target:
    return from_module(Reader(), "word", ("no", "stop", "yes"))


def weights(*networks: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for network in networks for value in network.state_dict().values()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("settings", [TINY, SGD], ids=["adam", "sgd"])
def test_the_target_is_never_changed_and_both_players_are(shaped_once, train_clips, target, settings, raw):
    before = weights(target.logits)
    obfuscator, deobfuscator, _ = train_optin(
        shaped_once.sounds, train_clips, target, replace(settings, raw=raw), Run(3, 0, silent)
    )
    assert same(before, weights(target.logits))
    torch.manual_seed(0)
    fresh = optin.build(TINY.architecture, TINY.obfuscator), optin.build(TINY.architecture, TINY.deobfuscator)
    assert not same(weights(fresh[0]), weights(obfuscator))
    assert not same(weights(fresh[1]), weights(deobfuscator))
    assert not obfuscator.training and not deobfuscator.training


def test_the_target_keeps_its_gradients_empty(shaped_once, train_clips, target):
    train_optin(shaped_once.sounds, train_clips, target, TINY, Run(1, 0, silent))
    assert all(parameter.grad is None for parameter in target.logits.parameters())


def test_a_target_without_gradients_is_refused(shaped_once, train_clips):
    with pytest.raises(ConfigError, match="that gives gradients; that of 'word' is none"):
        train_optin(shaped_once.sounds, train_clips, shaped_once.target, TINY, Run(1, 0, silent))


@pytest.mark.parametrize("settings", [TINY, SGD], ids=["adam", "sgd"])
def test_the_seed_decides_and_a_kill_does_not(shaped_once, train_clips, target, settings, tmp_path, monkeypatch):
    def trained(seed: int, report=silent, partial=None) -> list[torch.Tensor]:
        run = Run(4, seed, report, partial, "mine")
        game = train_optin(shaped_once.sounds, train_clips, target, settings, run)
        kept[seed].append(game.last)
        return weights(*game[:2])

    kept: dict[int, list[dict[str, float]]] = {0: [], 1: []}

    def killed(done: int, total: int, note: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    first = trained(0)
    assert not same(first, trained(1))
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0)
    with pytest.raises(KeyboardInterrupt):
        trained(0, killed, tmp_path / "partial")
    told = []
    again = trained(0, lambda done, total, note: told.append(done) if "L_t" in note else None, tmp_path / "partial")
    assert told == [3, 4]
    assert same(first, again)
    assert kept[0][0] == kept[0][-1], "and the numbers of the game"


@pytest.mark.parametrize("raw", [False, True])
def test_without_privacy_the_target_keeps_working_and_without_the_target_privacy_grows(
    shaped_once, train_clips, target, raw
):
    """The signs of the two losses: each alone is improved by the obfuscator."""

    def last(name: str, **settings) -> float:
        notes: list[str] = []
        tuned = replace(TINY, batch=8, raw=raw, **settings)
        run = Run(15, 0, lambda done, total, note: notes.append(note))
        train_optin(shaped_once.sounds, train_clips, target, tuned, run)
        values = [float(note.split(name)[1].split()[0]) for note in notes if name in note]
        return float(np.mean(values[-5:]))

    task = dict(target_weight=3.0, privacy_weight=0.0, learning_rate=1e-2)
    privacy = dict(target_weight=0.0, privacy_weight=3.0, learning_rate=1e-2)
    assert last("L_t", **task) < last("L_t", **privacy)
    assert last("L_p", **privacy) > last("L_p", **task)


def test_a_target_is_decided_by_its_seed_and_learns(shaped_once, train_clips):
    settings = TargetSettings("deepspeech2", {"maps": 2, "hidden": 8, "layers": 1}, batch=8, learning_rate=2e-2)
    manifest, sounds = shaped_once.manifest, shaped_once.sounds

    def trained(seed: int, steps: int = 2, report=silent) -> nn.Module:
        return train_target(manifest, sounds, train_clips, "word", settings, Run(steps, seed, report))

    assert same(weights(trained(0)), weights(trained(0)))
    assert not same(weights(trained(0)), weights(trained(1)))
    losses: list[float] = []
    network = trained(0, 30, lambda done, total, note: losses.append(float(note.split()[1])))
    assert not network.training
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_replaced_adversary_is_another_player_in_the_same_game(shaped_once, train_clips, target):
    replaced = replace(TINY, replace_every=2, replace_steps=2)
    plain, other = (
        train_optin(shaped_once.sounds, train_clips, target, settings, Run(4, 0, silent))
        for settings in (TINY, replaced)
    )
    assert not same(weights(plain[1]), weights(other[1]))
    assert not same(weights(plain[0]), weights(other[0]))


@pytest.mark.parametrize("raw", [False, True])
def test_a_gradient_ratio_is_held_in_every_step(shaped_once, train_clips, target, raw):
    notes: list[str] = []
    settings = replace(TINY, raw=raw, target_weight=2.0, gradient_ratio=0.7)
    run = Run(4, 0, lambda done, total, note: notes.append(note))
    game = train_optin(shaped_once.sounds, train_clips, target, settings, run)
    told = [note for note in notes if "L_t" in note]
    assert [float(note.split()[-1]) for note in told] == pytest.approx([0.7] * 4)
    assert len({note.split("w_p ")[1].split()[0] for note in told}) == 4, "by another weight in each"
    assert game.last["r"] == pytest.approx(0.7)


def test_the_weight_of_a_ratio_balances_the_two_gradients():
    for_task, for_privacy = torch.full((2, 3, 4), 3.0), torch.full((2, 3, 4), -0.5)
    settings = replace(TINY, target_weight=2.0, gradient_ratio=0.25)
    weight = privacy_weight(for_task, for_privacy, settings)
    assert weight * for_privacy.norm() == pytest.approx(0.25 * 2.0 * for_task.norm())
    assert privacy_weight(for_task, for_privacy, replace(settings, gradient_ratio=0.0)) == TINY.privacy_weight


def test_the_obfuscator_follows_the_gradient_of_both_losses(shaped_once, train_clips, target):
    """One step of gradient descent, against the plain derivative of w_t L_t - w_p L_p."""
    settings = replace(SGD, target_weight=2.0, privacy_weight=5.0, momentum=0.0, learning_rate=1e-2)
    run = Run(1, 0, silent)
    moved = train_optin(shaped_once.sounds, train_clips, target, settings, run).obfuscator
    torch.manual_seed(0)
    obfuscator, network = (optin.build(settings.architecture, settings.obfuscator) for _ in range(2))
    torch.manual_seed(0)
    original, _ = loop.draw(shaped_once.sounds, train_clips, settings.batch, np.random.default_rng([0, 0]))
    adversary = Deobfuscator(network, torch.optim.SGD(network.parameters(), lr=1e-2), raw=False)
    obfuscated = obfuscator(original)
    adversary.improve(obfuscated, original)
    loss = 2.0 * target_loss(target.logits(obfuscated), target.logits(original))
    loss = loss - 5.0 * adversary.pressure(obfuscated, original)
    slopes = torch.autograd.grad(loss, list(obfuscator.parameters()))
    for after, before, slope in zip(moved.parameters(), obfuscator.parameters(), slopes, strict=True):
        torch.testing.assert_close(after, before - 1e-2 * slope, rtol=1e-4, atol=1e-6)


def test_a_deobfuscator_by_the_letter_of_equation_1_learns_originals_too(shaped_once, train_clips, target):
    plain, both = (
        train_optin(shaped_once.sounds, train_clips, target, replace(TINY, restores=which), Run(3, 0, silent))
        for which in ("obfuscated", "both")
    )
    assert both.last["L_a"] > plain.last["L_a"], "the sum of two errors"
    assert not same(weights(plain.deobfuscator), weights(both.deobfuscator))


@pytest.mark.parametrize("through_sound", [False, True])
def test_others_have_to_understand_what_leaves(shaped_once, train_clips, target, through_sound):
    class Opposite(Reader):
        def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
            return super().forward(spectrum).roll(1, dims=1)

    settings = replace(TINY, through_sound=through_sound, privacy_weight=0.0)
    other = from_module(Opposite(), "word", ("no", "stop", "yes"))
    alone, both = (
        train_optin(shaped_once.sounds, train_clips, target, settings, Run(3, 0, silent), others)
        for others in ((), (other,))
    )
    assert not same(weights(alone.obfuscator), weights(both.obfuscator))


def test_played_spectra_are_what_the_front_end_makes_of_the_sound(shaped_once, train_clips):
    original, _ = loop.draw(shaped_once.sounds, train_clips, 3, np.random.default_rng(0))
    played = optin._played(original, (0.65, 0.85))
    assert played.shape == original.shape and not torch.equal(played, original)
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(played.numpy(), original.numpy(), strict=True)]
    assert min(likeness) > 0.8


def test_the_papers_networks_do_not_diverge_at_its_learning_rate(shaped_once, train_clips, target):
    settings = replace(PRESETS["paper"], batch=1)
    losses = []

    def report(done: int, total: int, note: str) -> None:
        losses.append(float(note.split("L_a ")[1].split()[0]))

    train_optin(shaped_once.sounds, train_clips, target, settings, Run(6, 0, report))
    assert max(losses) < 2.0, "without a limit of the gradient's norm L_a is 48 in the fourth step"

"""Laws of a training run: its seed decides it, a kill does not change where it ends."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from sottovoce.audio.segment import front_end
from sottovoce.training import loop
from sottovoce.training.loop import Run, draw, identity, one_cycle, set_learning_rate, train

STEPS = 8


def silent(done: int, total: int, note: str) -> None:
    pass


def parts(optimiser: str) -> dict[str, nn.Module | torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    other = nn.Linear(4, 1)
    kinds = {
        "sgd": lambda player: torch.optim.SGD(player.parameters(), lr=0.1, momentum=0.9),
        "adam": lambda player: torch.optim.Adam(player.parameters()),
        "adamw": lambda player: torch.optim.AdamW(player.parameters(), weight_decay=0.1),
    }
    return {"a": network, "ab": other, "optimiser": kinds[optimiser](network), "second": kinds[optimiser](other)}


def game(players, killed_at: int | None = None):
    """A step that uses both sources of randomness and a learning rate that moves."""

    def step(number: int, rng: np.random.Generator) -> str:
        if number == killed_at:
            raise KeyboardInterrupt
        heard = torch.from_numpy(rng.standard_normal((16, 4)).astype(np.float32))
        noise = torch.randn(16, 1)
        for player, optimiser in (("a", "optimiser"), ("ab", "second")):
            set_learning_rate(players[optimiser], one_cycle(number, STEPS, 0.05))
            loss = (players[player](heard) - heard.sum(dim=1, keepdim=True) - noise).square().mean()
            players[optimiser].zero_grad()
            loss.backward()
            players[optimiser].step()
        return f"{loss.item():.3f}"

    return step


def weights(players) -> list[torch.Tensor]:
    return [value for part in players.values() if isinstance(part, nn.Module) for value in part.state_dict().values()]


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def whole(optimiser: str, seed: int = 0):
    players = parts(optimiser)
    train(game(players), players, Run(STEPS, seed, silent))
    return players


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kills", [[4], [1], [STEPS - 1], [2, 3, 6]])
def test_a_run_that_was_killed_ends_as_one_that_was_not(tmp_path, monkeypatch, optimiser, kills):
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0)
    partial, told = tmp_path / "deep" / "run.partial", []
    for kill in [*kills, None]:
        players = parts(optimiser)
        run = Run(STEPS, 0, lambda done, total, note: told.append(done), partial, "mine")
        if kill is None:
            train(game(players), players, run)
        else:
            with pytest.raises(KeyboardInterrupt):
                train(game(players, kill), players, run)
            assert partial.is_file()
    assert told == list(range(1, STEPS + 1)), "no step was done twice"
    assert same(players, whole(optimiser))
    assert [path.name for path in partial.parent.iterdir()] == [partial.name], "only what the caller takes away"


@pytest.mark.parametrize("kept", ["of another run", "torn", "not there"])
def test_a_state_that_is_not_its_own_is_not_used(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0)
    partial, players = tmp_path / "run.partial", parts("adam")
    with pytest.raises(KeyboardInterrupt):
        train(game(players, 4), players, Run(STEPS, 1, silent, partial, "other" if "other" in kept else "mine"))
    if kept == "torn":
        partial.write_bytes(partial.read_bytes()[:100])
    if kept == "not there":
        partial.unlink()
    players = parts("adam")
    train(game(players), players, Run(STEPS, 0, silent, partial, "mine"))
    assert same(players, whole("adam"))


def test_nothing_is_kept_where_nothing_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0)
    monkeypatch.chdir(tmp_path)
    players = parts("adam")
    train(game(players), players, Run(3, 0, silent))
    assert not list(tmp_path.iterdir())


def test_the_seed_decides(monkeypatch):
    torch.manual_seed(123)
    first = whole("adam")
    torch.manual_seed(321)
    assert same(first, whole("adam"))
    assert not same(first, whole("adam", seed=1))


def test_every_step_is_reported():
    told, players = [], parts("sgd")
    train(game(players), players, Run(3, 0, lambda *words: told.append(words)))
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert all(math.isfinite(float(note)) for _, _, note in told)


@pytest.mark.parametrize("steps", [1, 2, 5, 600])
def test_one_cycle_rises_over_a_fifth_and_falls_to_nearly_nothing(steps):
    rates = [one_cycle(step, steps, 3e-3) for step in range(steps)]
    assert rates[0] == pytest.approx(0.04 * 3e-3)
    assert all(0 < rate <= 3e-3 * (1 + 1e-12) for rate in rates)
    top = int(np.argmax(rates))
    assert top == pytest.approx(0.2 * steps, abs=1)
    assert all(a < b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a > b for a, b in itertools.pairwise(rates[top:]))
    if steps == 600:
        assert rates[top] == pytest.approx(3e-3, rel=1e-3)
        assert rates[-1] < 1e-4 * 3e-3
        assert one_cycle(240, 600, 3e-3) == pytest.approx(3e-3 * 0.5 * (1 + math.cos(math.pi / 4)))


def test_an_identity_tells_runs_apart_whatever_the_order_of_their_settings():
    assert identity(a=1, b={"c": 2}) == identity(b={"c": 2}, a=1)
    assert len({identity(a=1), identity(a=2), identity(b=1), identity(a="1")}) == 4


def test_draw_gives_segments_of_the_clips_that_it_names(shaped_once):
    sounds = shaped_once.sounds
    clips = np.array([3, 5, 8, 60])
    spectra, chosen = draw(sounds, clips, 16, np.random.default_rng(0))
    assert spectra.shape == (16, 161, 128)
    assert set(chosen.tolist()) == set(clips.tolist())
    for spectrum, clip in zip(spectra, chosen, strict=True):  # each clip is one segment long
        padded = np.pad(sounds.wave(clip), (0, 20480 - sounds.samples(clip)))
        np.testing.assert_allclose(spectrum, front_end(padded[None])[0], atol=1e-5)
    _, few = draw(sounds, clips, 4, np.random.default_rng(0))
    assert len(set(few.tolist())) == 4, "no clip twice while there are enough"

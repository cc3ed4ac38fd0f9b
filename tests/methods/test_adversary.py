"""Laws of the adversary: improving it leaves the obfuscator alone, its pressure leaves it alone."""

import pytest
import torch
from torch import nn

from sottovoce.methods.optin.deobfuscator import Deobfuscator, adversarial_loss, latent_distance
from sottovoce.models.compact import CompactAutoencoder


@pytest.fixture
def players() -> tuple[nn.Module, Deobfuscator]:
    torch.manual_seed(0)
    obfuscator, network = CompactAutoencoder(width=4, blocks=1), CompactAutoencoder(width=4, blocks=1)
    return obfuscator, Deobfuscator(network, torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9), raw=False)


@pytest.fixture
def original() -> torch.Tensor:
    return torch.randn(3, 24, 16, generator=torch.Generator().manual_seed(1))


def weights(network: nn.Module) -> list[torch.Tensor]:
    return [value.detach().clone() for value in network.state_dict().values()]


def same(before: list[torch.Tensor], network: nn.Module) -> bool:
    return all(torch.equal(one, other) for one, other in zip(before, weights(network), strict=True))


def gradients(network: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def test_improve_changes_the_adversary_and_nothing_of_the_obfuscator(players, original):
    obfuscator, adversary = players
    mine, theirs = weights(obfuscator), weights(adversary.network)
    obfuscated = obfuscator(original)
    loss = adversary.improve(obfuscated, original)
    assert gradients(obfuscator) == []
    assert same(mine, obfuscator)
    assert not same(theirs, adversary.network)
    assert obfuscated.grad_fn is not None, "the obfuscator can still learn from it"
    assert loss > 0


def test_improve_is_one_step_on_the_loss_of_equation_1(players, original):
    _, adversary = players
    obfuscated = torch.roll(original, 1, dims=0)
    expected = adversarial_loss(adversary.network(obfuscated), original)
    slopes = torch.autograd.grad(expected, list(adversary.network.parameters()))
    before = [parameter.detach().clone() for parameter in adversary.network.parameters()]
    assert adversary.improve(obfuscated, original) == pytest.approx(expected.item())
    for parameter, old, slope in zip(adversary.network.parameters(), before, slopes, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 0.1 * slope)


def test_improving_again_and_again_lowers_the_loss(players, original):
    _, adversary = players
    losses = [adversary.improve(original, original) for _ in range(30)]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("raw", [False, True])
def test_pressure_moves_the_obfuscator_and_nothing_of_the_adversary(players, original, raw):
    obfuscator, adversary = players
    adversary.raw = raw
    adversary.improve(obfuscator(original), original)
    theirs, kept = weights(adversary.network), [gradient.clone() for gradient in gradients(adversary.network)]
    adversary.pressure(obfuscator(original), original).backward()
    assert same(theirs, adversary.network)
    assert all(torch.equal(a, b) for a, b in zip(kept, gradients(adversary.network), strict=True))
    assert len(gradients(obfuscator)) == len(list(obfuscator.parameters()))
    assert any(gradient.abs().sum() > 0 for gradient in gradients(obfuscator))


@pytest.mark.parametrize("raw", [False, True])
def test_the_adversary_can_learn_after_it_was_asked(players, original, raw):
    obfuscator, adversary = players
    adversary.raw = raw
    adversary.pressure(obfuscator(original), original)
    theirs = weights(adversary.network)
    adversary.improve(obfuscator(original), original)
    assert not same(theirs, adversary.network)


def test_pressure_is_the_distance_in_the_latent_or_the_rejected_loss(players, original):
    obfuscator, adversary = players
    obfuscated, network = obfuscator(original).detach(), adversary.network
    with torch.no_grad():
        latent = latent_distance(network.encode(obfuscated), network.encode(original))
        raw = adversarial_loss(network(obfuscated), original)
    assert adversary.pressure(obfuscated, original).item() == pytest.approx(latent.item())
    adversary.raw = True
    assert adversary.pressure(obfuscated, original).item() == pytest.approx(raw.item())


def test_what_is_not_obfuscated_feels_no_pressure(players, original):
    _, adversary = players
    assert adversary.pressure(original, original) == 0.0


def test_replacing_changes_the_adversary_and_it_alone(players, original):
    obfuscator, adversary = players
    mine = weights(obfuscator)
    momentum = adversary.improve(obfuscator(original), original) and weights_of(adversary.optimiser)
    torch.manual_seed(5)
    fresh = CompactAutoencoder(width=4, blocks=1)
    untrained = weights(fresh)
    with torch.no_grad():
        pairs = [(obfuscator(original), original)] * 30
    before = adversarial_loss(fresh(pairs[0][0]), original).item()
    adversary.replace(fresh, pairs)
    assert same(mine, obfuscator) and gradients(obfuscator) == []
    assert not same(untrained, adversary.network), "it was trained"
    assert same(weights(fresh), adversary.network), "and took over"
    assert adversarial_loss(adversary.network(pairs[0][0]), original).item() < before
    assert all(map(torch.equal, momentum, weights_of(adversary.optimiser))), "what the optimiser remembers stays"


def weights_of(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [entry["momentum_buffer"].clone() for entry in optimiser.state_dict()["state"].values()]

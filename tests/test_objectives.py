"""Equations (1) to (4) of the opt-in paper, against what they say, number by number."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.methods.optin.deobfuscator import adversarial_loss, distance, latent_distance, target_loss


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def literal_distance(alpha: float, beta: float) -> float:
    return abs(1.0 / (1.0 + math.exp(-(alpha - beta))) - 0.5)


def test_equation_1_is_the_mean_squared_error():
    restored, original = random(2, 3, 4), random(2, 3, 4, seed=1)
    total = 0.0
    for b in range(2):
        for f in range(3):
            for n in range(4):
                total += (restored[b, f, n].item() - original[b, f, n].item()) ** 2
    assert adversarial_loss(restored, original).item() == pytest.approx(total / 24)


def test_equation_2_is_the_cross_entropy_to_the_targets_own_output():
    obfuscated, original = random(5, 4), random(5, 4, seed=1)
    total = 0.0
    for b in range(5):
        said = [math.exp(value) for value in original[b].tolist()]
        kept = [math.exp(value) for value in obfuscated[b].tolist()]
        for k in range(4):
            total -= said[k] / sum(said) * math.log(kept[k] / sum(kept))
    assert target_loss(obfuscated, original).item() == pytest.approx(total / 5)


def test_equations_3_and_4_are_the_mean_distance_over_the_latent():
    obfuscated, original = random(2, 3, 2, 2), random(2, 3, 2, 2, seed=1)
    pairs = zip(obfuscated.flatten().tolist(), original.flatten().tolist(), strict=True)
    assert latent_distance(obfuscated, original).item() == pytest.approx(
        sum(literal_distance(alpha, beta) for alpha, beta in pairs) / 24
    )


@settings(deadline=None)
@given(alpha=st.floats(-15, 15), beta=st.floats(-15, 15))
def test_equation_4_is_symmetric_and_at_least_zero_and_below_a_half(alpha, beta):
    ours = distance(torch.tensor(alpha, dtype=torch.float64), torch.tensor(beta, dtype=torch.float64)).item()
    assert ours == pytest.approx(literal_distance(alpha, beta), abs=1e-12)
    assert ours == pytest.approx(literal_distance(beta, alpha), abs=1e-12)
    assert 0.0 <= ours < 0.5


def test_the_distance_never_passes_a_half_however_far_apart():
    far = torch.tensor([0.0, 1e3, -1e3, 1e30])
    assert distance(far, -far).tolist() == [0.0, 0.5, 0.5, 0.5]  # 0.5 itself by rounding alone


def test_identical_inputs_lose_nothing():
    same = random(2, 5, 7)
    assert adversarial_loss(same, same.clone()) == 0.0
    assert latent_distance(same, same.clone()) == 0.0
    entropy = -(same[0].softmax(-1) * same[0].log_softmax(-1)).sum(-1).mean()
    assert target_loss(same[0], same[0].clone()).item() == pytest.approx(entropy.item())


@pytest.mark.parametrize("seed", range(5))
def test_the_target_loss_is_least_at_the_targets_own_logits(seed):
    original = random(3, 4, seed=seed)
    least = target_loss(original, original).item()
    step = 1e-4
    for b in range(3):
        for k in range(4):
            shift = torch.zeros(3, 4, dtype=torch.float64)
            shift[b, k] = step
            up, down = (target_loss(original + sign * shift, original).item() for sign in (1, -1))
            assert abs(up - down) / (2 * step) < 1e-8, "a slope of zero"
            assert min(up, down) > least, "and a hollow"
    assert target_loss(original + random(3, 4, seed=seed + 100), original).item() > least


def test_no_gradient_reaches_the_original_logits():
    obfuscated, original = random(3, 4).requires_grad_(), random(3, 4, seed=1).requires_grad_()
    target_loss(obfuscated, original).backward()
    assert original.grad is None
    kept, said = obfuscated.detach().softmax(-1).numpy(), original.detach().softmax(-1).numpy()
    np.testing.assert_allclose(obfuscated.grad.numpy(), (kept - said) / 3, atol=1e-12)


def test_the_adversary_and_the_obfuscator_pull_on_the_same_sound():
    restored, original = random(2, 3, 4).requires_grad_(), random(2, 3, 4, seed=1)
    adversarial_loss(restored, original).backward()
    np.testing.assert_allclose(
        restored.grad.numpy(), 2 * (restored.detach() - original).numpy() / 24, rtol=1e-12, atol=1e-15
    )
    latent = random(2, 3).requires_grad_()
    latent_distance(latent, random(2, 3, seed=1)).backward()
    towards = (latent.detach() - random(2, 3, seed=1)).sign()
    assert torch.equal(latent.grad.sign(), towards), "L_p grows with the distance between latents"

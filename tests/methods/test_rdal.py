"""RDAL's laws: what each player may change, what the reversal does, and that the mask leaves clean events alone."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sottovoce.methods.rdal import training as rdal
from sottovoce.methods.rdal.adversary import Discriminator, Kernel, Latents, Pool, verdict, verify
from sottovoce.methods.rdal.mask import MaskSettings, train_mask
from sottovoce.methods.rdal.training import PRESETS, PairedClips, RdalSettings, Training, reversal_strength, train_rdal
from sottovoce.models.rdal import GradientReversal, LogMel, MaskUnet, Sender, SpeechClassifier
from sottovoce.training.loop import Run

PAIRS, BINS, FRAMES, CLASSES = 24, 257, 20, 3
SETTINGS = RdalSettings(width=2, batch=8, epochs=4, warmup_epochs=0, ramp=2, replace_every=2, verifier_patience=2)


def pairs(seed: int = 0) -> PairedClips:
    """Events are bands; speech is another band, over two thirds of the clip."""
    rng = np.random.default_rng(seed)
    events = np.arange(PAIRS) % CLASSES
    magnitudes = 0.1 * rng.random((PAIRS, 2, BINS, FRAMES), dtype=np.float32)
    for pair, event in zip(magnitudes, events, strict=True):
        pair[1] = pair[0]
        pair[:, 20 + 30 * event : 40 + 30 * event] += 1.0
        pair[1, 150:250, : 2 * FRAMES // 3] += 1.0
    return PairedClips(magnitudes, np.stack([events, events], axis=1))


def quiet(done: int, total: int, note: str) -> None:
    pass


def game(settings: RdalSettings = SETTINGS, mask: nn.Module | None = None) -> Training:
    torch.manual_seed(0)
    return Training(mask, pairs(), pairs(1), CLASSES, settings)


def weights(network: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in network.state_dict().values()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def latents(count: int = 64, gap: float = 1.0) -> Latents:
    torch.manual_seed(1)
    speech = (torch.arange(count) % 2).float()
    return Latents(torch.randn(count, 64) + gap * speech[:, None], speech)


def test_the_reversal_layer_passes_values_on_and_turns_gradients_round() -> None:
    """Against finite differences of the function behind it."""
    torch.manual_seed(0)
    behind, strength, epsilon = nn.Linear(5, 1).double(), 0.7, 1e-6
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    passed = GradientReversal.apply(x, strength)
    assert torch.equal(passed, x)
    behind(passed).tanh().sum().backward()
    for i in range(5):
        step = torch.zeros(5, dtype=torch.float64)
        step[i] = epsilon
        with torch.no_grad():
            slope = (behind(x + step).tanh() - behind(x - step).tanh()).item() / (2 * epsilon)
        assert x.grad is not None and x.grad[i].item() == pytest.approx(-strength * slope, rel=1e-5)


def test_improving_never_touches_the_extractor_and_pressure_never_the_adversary() -> None:
    adversary, heard = Discriminator(), latents()
    latent = heard.latent.clone().requires_grad_(True)
    before = weights(adversary.network)
    adversary.improve(Latents(latent, heard.speech))
    assert latent.grad is None and not same(before, weights(adversary.network))
    before = weights(adversary.network)
    adversary.optimiser.zero_grad()
    adversary.pressure(Latents(latent, heard.speech), 1.0).backward()
    assert latent.grad is not None and latent.grad.abs().sum() > 0
    assert same(before, weights(adversary.network)) and all(p.grad is None for p in adversary.network.parameters())


def test_replacing_changes_the_adversary_and_only_the_adversary() -> None:
    training = game()
    training.epoch(0, np.random.default_rng(0))
    before = {name: weights(part) for name, part in training.parts.items() if isinstance(part, nn.Module)}
    remembered = copy.deepcopy(training.adversary.members[0].optimiser.state_dict())
    verifier = SpeechClassifier()
    training.adversary.replace(verifier, 0)
    member = training.adversary.members[0]
    assert isinstance(member, Discriminator) and same(weights(member.network), weights(verifier))
    assert not same(before["adversary 0"], weights(member.network))
    assert same(before["networks"][:-8], weights(training.sender) + weights(training.reader))
    for one, other in zip(remembered["state"].values(), member.optimiser.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one), "momentum is not reset, as in the paper's code"


def test_with_strength_0_the_extractor_learns_exactly_as_without_an_adversary() -> None:
    settings = replace(SETTINGS, warmup_epochs=100, replace_every=0, patience=0)
    against, alone = game(settings), game(replace(settings, adversary="none"))
    alone.sender.load_state_dict(against.sender.state_dict())
    alone.reader.load_state_dict(against.reader.state_dict())
    for number in range(3):
        for training in (against, alone):
            training.sender.extractor.train()
            torch.manual_seed(number)
            training.step(np.arange(8), np.random.default_rng(number), reversal_strength(number, settings))
    assert same(weights(against.sender), weights(alone.sender)) and same(weights(against.reader), weights(alone.reader))


def test_a_step_is_the_joint_step_of_the_paper() -> None:
    """One optimiser over F, C and D on both losses, with the reversal layer between F and D."""
    settings = replace(SETTINGS, patience=0)
    training = game(settings)
    joint = copy.deepcopy(nn.ModuleList([training.sender.extractor, training.reader, training.adversary.last]))
    extractor, reader, classifier = joint
    for network in (training.sender.extractor, training.adversary.last, extractor, classifier):
        network.eval()  # no dropout: its random numbers are drawn in another order
    optimiser = torch.optim.SGD(joint.parameters(), lr=settings.learning_rate, momentum=0.9)
    level, event, speech = training.pairs.batch(np.arange(8), np.random.default_rng(0))
    latent = extractor(level)
    loss = nn.functional.cross_entropy(reader(latent), event)
    reversed_ = GradientReversal.apply(latent, 0.5)
    loss = loss + nn.functional.binary_cross_entropy_with_logits(classifier(reversed_), speech)
    loss.backward()
    nn.utils.clip_grad_value_(classifier.parameters(), 1.0)
    optimiser.step()
    training.step(np.arange(8), np.random.default_rng(0), 0.5)
    for own, other in (
        (training.sender.extractor, extractor),
        (training.reader, reader),
        (training.adversary.last, classifier),
    ):
        for one, two in zip(own.parameters(), other.parameters(), strict=True):
            assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    ("epoch", "strength"), [(0, 0.0), (29, 0.0), (50, 0.20), (100, 0.61), (200, 0.94), (294, 0.99)]
)
def test_the_strength_rises_as_in_the_paper(epoch: int, strength: float) -> None:
    assert reversal_strength(epoch, PRESETS["paper"]) == pytest.approx(strength, abs=0.006)


def test_the_sizes_of_the_paper() -> None:
    def count(network: nn.Module) -> int:
        return sum(value.numel() for value in network.parameters())

    from sottovoce.models.rdal import Extractor

    assert count(Extractor()) == pytest.approx(1.58e6, rel=0.01)
    assert count(SpeechClassifier()) == 5233
    assert count(MaskUnet(16)) == pytest.approx(9.8e6, rel=0.01)
    assert Extractor()(torch.zeros(2, 64, 101)).shape == (2, 64)


def test_levels_are_those_of_the_slow_definition() -> None:
    rng = np.random.default_rng(0)
    found = rng.random((2, 257, 5), dtype=np.float32)
    found[0, :, 0] = 0.0
    level = LogMel(16000)(torch.from_numpy(found)).numpy()
    from sottovoce.audio.mel import filterbank

    power = np.einsum("bf,sfn->sbn", filterbank(64, 512, 16000), found.astype(np.float64) ** 2)
    slow = 10 * np.log10(np.maximum(power, 1e-10))
    slow = np.maximum(slow, slow.max(axis=(1, 2), keepdims=True) - 80)
    assert np.abs(level - slow).max() < 1e-3


def test_a_verifier_finds_what_is_there_and_chance_where_nothing_is() -> None:
    torch.manual_seed(0)
    found = verify(latents(200), latents(200), patience=5)
    assert verdict(found, latents(200))[1] == 1.0
    nothing = verify(latents(200, 0.0), Latents(torch.randn(200, 64), latents(200).speech), patience=5)
    loss, right = verdict(nothing, Latents(torch.randn(400, 64), latents(400).speech))
    assert loss == pytest.approx(math.log(2), abs=0.1) and right == pytest.approx(0.5, abs=0.1)


def test_the_kernel_is_zero_in_the_mean_for_one_distribution_and_grows_with_the_gap() -> None:
    kernel = Kernel(1.0)
    reached = [kernel.improve(latents(400, gap)) for gap in (0.0, 0.3, 1.0)]
    assert abs(reached[0]) < 0.01 < reached[1] < reached[2]


def test_the_members_of_a_pool_are_replaced_in_turn() -> None:
    pool, verifier = Pool([Discriminator(), Discriminator()]), SpeechClassifier()
    before = [weights(member.network) for member in pool.members]
    pool.replace(verifier, 3)
    after = [weights(member.network) for member in pool.members]
    assert same(before[0], after[0]) and same(after[1], weights(verifier))


def test_the_mask_takes_out_speech_and_leaves_clean_events_alone() -> None:
    half = pairs()
    mask = train_mask(half.magnitudes, MaskSettings(width=2, epochs=40, batch=8), Run(0, 0, quiet))
    quiet_clips, mixtures = torch.from_numpy(pairs(2).magnitudes).unbind(dim=1)
    with torch.no_grad():
        alone, cleaned = mask(quiet_clips) * quiet_clips, mask(mixtures) * mixtures

    def si_sdr(estimate: torch.Tensor) -> float:
        along = (estimate * quiet_clips).sum() / quiet_clips.square().sum() * quiet_clips
        return 10 * math.log10(along.square().sum() / (estimate - along).square().sum())

    assert si_sdr(alone) > 15.0
    assert si_sdr(cleaned) > si_sdr(mixtures) + 6.0


@pytest.mark.parametrize("preset", ["no-privacy", "reversal", "compact", "masked", "learnable", "pool", "codes"])
def test_every_method_trains_and_resumes_to_the_same_end(
    preset: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sottovoce.training.loop._SAVE_EVERY_S", 0.0)
    settings = replace(
        PRESETS[preset],
        width=2,
        batch=8,
        epochs=4,
        verifier_patience=1,
        warmup_epochs=0,
        ramp=2,
        masking=MaskSettings(1, 1, 8),
    )
    half = pairs()
    mask = train_mask(half.magnitudes, settings.masking, Run(0, 0, quiet)) if settings.mask != "none" else None

    def trained(report) -> rdal.TrainedSender:
        run = Run(0, 0, report, tmp_path / "run", "one")
        return train_rdal(half, pairs(1), CLASSES, settings, mask, run)

    def killed(done: int, total: int, note: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(killed)
    resumed = trained(quiet)
    for file in tmp_path.iterdir():
        file.unlink()
    whole = trained(quiet)
    assert same(weights(whole.sender), weights(resumed.sender))
    sent = whole.sender(torch.from_numpy(half.magnitudes[:, 0]))
    assert sent.shape == (PAIRS, 64) and whole.rows.shape[1] == 5
    if settings.codes:
        called = whole.reader(sent).argmax(dim=1)
        assert torch.equal(whole.sender.codes(sent), sent), "a code stands for itself"
        assert len(torch.unique(sent, dim=0)) == len(torch.unique(called)) <= CLASSES


def test_a_sender_without_a_mask_hears_everything() -> None:
    sender = Sender(None, LogMel(16000), nn.Flatten(), None)
    magnitudes = torch.rand(2, 257, 5)
    assert torch.equal(sender.levels(magnitudes), sender.level(magnitudes))


def test_the_schedules_of_the_paper() -> None:
    assert (PRESETS["paper"].replace_every, PRESETS["paper-masked"].replace_every) == (50, 70)
    assert (PRESETS["paper"].learning_rate, PRESETS["paper"].patience, PRESETS["paper"].batch) == (1e-2, 10, 32)


def test_what_was_best_is_kept_also_where_the_epochs_run_out() -> None:
    training = game()
    training.epoch(0, np.random.default_rng(0))
    last = weights(training.networks)
    training.restore_best()
    assert same(last, weights(training.networks)), "no loss was compared yet"
    training.best.load_state_dict(training.networks.state_dict())
    assert training.history.is_best(100.0)
    training.epoch(1, np.random.default_rng(1))
    assert not same(last, weights(training.networks)) and not training.finished()
    training.restore_best()
    assert same(last, weights(training.networks))

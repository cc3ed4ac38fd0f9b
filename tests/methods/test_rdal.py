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
from sottovoce.methods.rdal.history import Best, BestWithin
from sottovoce.methods.rdal.mask import MaskSettings, mask_loss, train_mask
from sottovoce.methods.rdal.pairs import PairedClips, paired
from sottovoce.methods.rdal.presets import PRESETS, RdalSettings
from sottovoce.methods.rdal.training import Training, reversal_strength, train_rdal
from sottovoce.models.rdal import (
    CompactExtractor,
    Extractor,
    GradientReversal,
    LogMel,
    MaskUnet,
    Sender,
    SpeechClassifier,
)
from sottovoce.training.loop import Run

PAIRS, BINS, FRAMES, CLASSES = 24, 257, 20, 3
SETTINGS = RdalSettings(
    width=2, batch=8, steps=12, warmup_steps=0, ramp_steps=6, check_every=6, patience=2, verifier_patience=2
)


def pairs(seed: int = 0, frames: int = FRAMES) -> PairedClips:
    """Events are bands; speech is another band, over two thirds of the clip."""
    rng = np.random.default_rng(seed)
    events = np.arange(PAIRS) % CLASSES
    magnitudes = 0.1 * rng.random((PAIRS, 2, BINS, frames), dtype=np.float32)
    for pair, event in zip(magnitudes, events, strict=True):
        pair[1] = pair[0]
        pair[:, 20 + 30 * event : 40 + 30 * event] += 1.0
        pair[1, 150:250, : 2 * frames // 3] += 1.0
    return PairedClips(magnitudes, np.stack([events, events], axis=1), np.ones(PAIRS, np.float32))


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


def test_a_loss_presses_on_the_extractor_and_only_an_update_changes_the_adversary() -> None:
    adversary, given = Discriminator(), latents()
    latent = given.latent.clone().requires_grad_(True)
    before = weights(adversary.network)
    adversary.loss(Latents(latent, given.speech), 1.0).backward()
    assert latent.grad is not None and latent.grad.abs().sum() > 0
    assert same(before, weights(adversary.network))
    pressed = latent.grad.clone()
    adversary.update()
    assert not same(before, weights(adversary.network)) and torch.equal(latent.grad, pressed)


def test_one_dropout_mask_serves_the_adversary_and_the_extractor() -> None:
    """The gradients into latent and adversary are those of one pass; reversed, the first is that of the plain loss."""
    adversary, given = Discriminator(), latents()
    passes: list[torch.Tensor] = []
    adversary.network.layers[2].register_forward_hook(lambda module, given, kept: passes.append(kept))
    latent = given.latent.clone().requires_grad_(True)
    torch.manual_seed(3)
    adversary.loss(Latents(latent, given.speech), 0.5).backward()
    assert len(passes) == 1
    plain = given.latent.clone().requires_grad_(True)
    found = [parameter.grad.clone() for parameter in adversary.network.parameters() if parameter.grad is not None]
    adversary.network.zero_grad()
    torch.manual_seed(3)
    nn.functional.binary_cross_entropy_with_logits(adversary.network(plain), given.speech).backward()
    assert latent.grad is not None and plain.grad is not None
    assert torch.allclose(latent.grad, -0.5 * plain.grad)
    expected = [parameter.grad for parameter in adversary.network.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True) if other is not None)


@pytest.mark.parametrize(("clip", "most"), [(1.0, 1.0), (0.0, math.inf)])
def test_gradients_are_clipped_by_value_unless_the_clip_is_0(clip: float, most: float) -> None:
    adversary, given = Discriminator(clip=clip), latents()
    (1e4 * adversary.loss(given, 1.0)).backward()
    steep = max(float(parameter.grad.abs().max()) for parameter in adversary.network.parameters())
    before = weights(adversary.network)
    adversary.update()
    moved = max(float((a - b).abs().max()) for a, b in zip(before, weights(adversary.network), strict=True))
    assert steep > 10.0 and moved == pytest.approx(1e-2 * min(steep, most), rel=1e-3)


def test_replacing_changes_the_adversary_and_only_the_adversary() -> None:
    training = game()
    training.advance(0, np.random.default_rng(0))
    before = {name: weights(part) for name, part in training.parts.items() if isinstance(part, nn.Module)}
    remembered = copy.deepcopy(training.adversary.members[0].optimiser.state_dict())
    verifier = SpeechClassifier()
    training.adversary.replace(verifier, 0)
    member = training.adversary.members[0]
    assert isinstance(member, Discriminator) and same(weights(member.network), weights(verifier))
    assert not same(before["adversary 0"], weights(member.network))
    assert same(before["networks"][:-8], weights(training.sender.extractor) + weights(training.reader))
    for one, other in zip(remembered["state"].values(), member.optimiser.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one), "momentum is not reset, as in the paper's code"


def test_with_strength_0_the_extractor_learns_exactly_as_without_an_adversary() -> None:
    settings = replace(SETTINGS, warmup_steps=100, replaces=False, patience=0)
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
    assert reversal_strength(66 * epoch, PRESETS["paper"]) == pytest.approx(strength, abs=0.006)


def test_the_sizes_of_the_paper() -> None:
    def count(network: nn.Module) -> int:
        return sum(value.numel() for value in network.parameters())

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
    reached = [float(kernel.loss(latents(400, gap), 1.0)) for gap in (0.0, 0.3, 1.0)]
    assert abs(reached[0]) < 0.01 < reached[1] < reached[2]


def test_the_members_of_a_pool_are_replaced_in_turn() -> None:
    pool, verifier = Pool([Discriminator(), Discriminator()]), SpeechClassifier()
    before = [weights(member.network) for member in pool.members]
    pool.replace(verifier, 3)
    after = [weights(member.network) for member in pool.members]
    assert same(before[0], after[0]) and same(after[1], weights(verifier))


def test_the_mask_takes_out_speech_and_leaves_clean_events_alone() -> None:
    half = pairs()
    mask = train_mask(half, half, MaskSettings(width=2, epochs=40, batch=8), Run(0, 0, quiet))
    quiet_clips, mixtures = torch.from_numpy(pairs(2).magnitudes).unbind(dim=1)
    with torch.no_grad():
        alone, cleaned = mask(quiet_clips) * quiet_clips, mask(mixtures) * mixtures

    def si_sdr(estimate: torch.Tensor) -> float:
        along = (estimate * quiet_clips).sum() / quiet_clips.square().sum() * quiet_clips
        return 10 * math.log10(along.square().sum() / (estimate - along).square().sum())

    assert si_sdr(alone) > 15.0
    assert si_sdr(cleaned) > si_sdr(mixtures) + 6.0


@pytest.mark.parametrize("preset", PRESETS)
def test_every_method_trains_and_resumes_to_the_same_end(
    preset: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sottovoce.training.loop._SAVE_EVERY_S", 0.0)
    settings = replace(
        PRESETS[preset],
        width=2,
        batch=8,
        steps=30 if preset == "codes" else 12,  # until the reader calls every event
        check_every=3,
        verifier_patience=1,
        warmup_steps=0,
        ramp_steps=6,
        masking=MaskSettings(1, 1, 8),
    )
    frames = 50 if settings.extractor == "rdal" else FRAMES  # fewer do not pass through its convolutions
    half, other_half = pairs(0, frames), pairs(1, frames)
    mask = train_mask(half, other_half, settings.masking, Run(0, 0, quiet)) if settings.mask != "none" else None

    def trained(report) -> rdal.TrainedSender:
        run = Run(0, 0, report, tmp_path / "run", "one")
        return train_rdal(half, other_half, CLASSES, settings, mask, run)

    def killed(done: int, total: int, note: str) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(killed)
    resumed = trained(quiet)
    for file in tmp_path.iterdir():
        file.unlink()
    whole = trained(quiet)
    for one, other in ((whole.hidden, resumed.hidden), (whole.balanced, resumed.balanced)):
        assert same(weights(one.sender), weights(other.sender)) and same(weights(one.reader), weights(other.reader))
    assert str(whole.checks) == str(resumed.checks) and [row["step"] for row in whole.checks][:4] == [3, 6, 9, 12]
    sender, reader, _ = whole.balanced
    sent = sender(torch.from_numpy(half.magnitudes[:, 0]))
    assert sent.shape == (PAIRS, 64)
    if settings.codes:
        called = reader(sent).argmax(dim=1)
        assert torch.equal(sender.codes(sent), sent), "a code stands for itself"
        assert len(torch.unique(sent, dim=0)) == len(torch.unique(called)) <= CLASSES


def test_a_sender_without_a_mask_hears_everything() -> None:
    sender = Sender(None, LogMel(16000), nn.Flatten(), None)
    magnitudes = torch.rand(2, 257, 5)
    assert torch.equal(sender.levels(magnitudes), sender.level(magnitudes))


@pytest.mark.parametrize("preset", ["paper", "compact", "paper-masked", "masked"])
def test_the_schedules_of_the_paper(preset: str) -> None:
    settings, epoch = PRESETS[preset], 66
    assert settings.check_every == (70 if "masked" in preset else 50) * epoch
    assert (settings.steps, settings.warmup_steps, settings.ramp_steps) == (5000 * epoch, 30 * epoch, 4970 * epoch)
    assert (settings.learning_rate, settings.patience, settings.batch) == (1e-2, 10, 32)
    assert (settings.verifier_patience, settings.clip, settings.augment) == (50, 1.0, False)


def test_the_other_methods_of_the_paper() -> None:
    reversal, alone = PRESETS["reversal"], PRESETS["no-privacy"]
    assert (reversal.clip, reversal.check_every, reversal.patience, reversal.replaces) == (0.0, 66, 50, False)
    assert (alone.optimiser, alone.learning_rate, alone.check_every, alone.patience) == ("adam", 1e-3, 66, 50)
    masking = PRESETS["paper-masked"].masking
    assert (masking.width, masking.learning_rate, masking.patience, masking.relative) == (16, 1e-3, 20, False)
    assert (PRESETS["paper"].extractor, PRESETS["paper"].width, PRESETS["paper"].samples) == ("rdal", 64, 16000)


def test_extractors_learn_from_levels_as_they_are() -> None:
    """Neither network normalises what goes in, or changes it at random."""
    for network in (Extractor(2), CompactExtractor(2)):
        first = next(module for module in network.convolutions if not isinstance(module, nn.Sequential))
        assert isinstance(first, nn.Conv2d)


def test_no_batch_is_augmented_unless_it_is_asked_for() -> None:
    training = game()
    level, _, _ = training.pairs.batch(np.arange(8), np.random.default_rng(0))
    assert torch.equal(level, training.pairs.levels[:8].flatten(0, 1))
    other, _, _ = game(replace(SETTINGS, augment=True)).pairs.batch(np.arange(8), np.random.default_rng(0))
    assert other.shape == level.shape and not torch.equal(other, level)


def test_all_pairs_have_their_turn_before_one_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    training, taken = game(), []
    monkeypatch.setattr(training, "step", lambda rows, rng, strength: taken.extend(rows) or (0.0, 0.0))
    for number in range(6):
        training.advance(number, np.random.default_rng(number))
    assert sorted(taken[:PAIRS]) == sorted(taken[PAIRS:]) == list(range(PAIRS)) and taken[:PAIRS] != taken[PAIRS:]


def test_the_adversary_in_the_loop_is_looked_at_before_it_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = SpeechClassifier().eval()
    monkeypatch.setattr(rdal, "verify", lambda *given: fresh)
    training = game()
    before = weights(training.adversary.last)
    training.check(5, 1.0)
    assert same(weights(training.adversary.last), weights(fresh)), "it is replaced"
    assert same(weights(training.chosen(training.hidden).in_loop), before), "what is kept is what was trained against"


def labelled(value: float) -> nn.Module:
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, value)
    return network


def test_the_original_rule_keeps_the_highest_score_whatever_the_events() -> None:
    best = Best(labelled(0.0))
    for number, score in enumerate((0.5, 0.7, 0.6), start=1):
        best.offer(labelled(number), score)
    assert best.networks.weight.item() == 2.0 and best.since == 1


def test_the_second_rule_refuses_a_collapse() -> None:
    best = BestWithin(labelled(0.0), margin=0.02)
    best.saw(0.70)
    for number, (score, accuracy) in enumerate(((0.60, 0.70), (0.65, 0.685), (0.69, 0.12)), start=1):
        best.offer(labelled(number), score, accuracy)
    assert best.networks.weight.item() == 2.0, "the hardest to read of those that keep the events"
    best.offer(labelled(4.0), 0.5, 0.75)
    assert best.networks.weight.item() == 4.0, "what was kept is no longer near the best"


def test_what_was_best_is_kept_also_where_the_steps_run_out() -> None:
    training = game()
    training.advance(0, np.random.default_rng(0))
    last = weights(training.sender.extractor)
    assert same(last, weights(training.chosen(training.hidden).sender.extractor)), "no score was compared yet"
    training.hidden.offer(training.networks, 100.0)
    training.sender.extractor.train()
    training.advance(1, np.random.default_rng(1))
    assert not same(last, weights(training.sender.extractor)) and not training.finished()
    assert same(last, weights(training.chosen(training.hidden).sender.extractor))


def test_patience_ends_a_run() -> None:
    settings = replace(SETTINGS, steps=600, check_every=1, patience=3, adversary="none", replaces=False)
    trained = train_rdal(pairs(), pairs(1), CLASSES, settings, None, Run(0, 0, quiet))
    losses = [row["event_loss"] for row in trained.checks]
    assert len(losses) < 600 and int(np.argmin(losses)) == len(losses) - 1 - 4, "four in a row were not better"


def test_a_mask_learns_the_event_as_loud_as_it_is_in_the_mixture() -> None:
    """All clips are brought to one level, so the event alone is louder than the same event inside the mixture."""
    rng = np.random.default_rng(0)
    event, speech = rng.standard_normal((2, 4, 16000)).astype(np.float32)
    mixture = (event + 2.0 * speech) / np.sqrt(5)  # recordings are kept at one level, so their own tells nothing
    wav = np.stack([event, mixture], axis=1).reshape(8, -1)
    found = paired(wav, np.zeros((4, 2), np.int64), 16000)
    together, alone = found.magnitudes[:, 1], paired(event.repeat(2, axis=0), np.zeros((4, 2), np.int64), 16000)
    assert np.allclose(found.gain, 1 / np.sqrt(5), atol=0.03) and np.allclose(alone.gain, 1.0)
    level = np.sqrt(np.square(found.gain[:, None, None] * found.magnitudes[:, 0]).mean(axis=(1, 2)))
    assert np.allclose(level * np.sqrt(5), np.sqrt(np.square(together).mean(axis=(1, 2))), rtol=0.07)


def test_the_masks_loss_is_plain_or_relative() -> None:
    mixture = torch.rand(3, 64, 64) + 0.5
    whole = nn.Identity()  # a mask of 1 for magnitudes of 1
    assert mask_loss(whole, torch.zeros(1, 2, 2), torch.full((1, 2, 2), 2.0), False).item() == 4.0
    assert mask_loss(whole, torch.zeros(1, 2, 2), torch.full((1, 2, 2), 2.0), True).item() == 2.0
    plain, relative = MaskUnet(1).eval(), MaskUnet(1, relative=True).eval()
    assert torch.allclose(relative(mixture), relative(7.0 * mixture), atol=1e-5)
    assert not torch.allclose(plain(mixture), plain(7.0 * mixture), atol=1e-5)


def test_a_mask_is_trained_until_patience_ends_and_the_best_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from sottovoce.methods.rdal import mask as masks

    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0])
    seen: list[list[torch.Tensor]] = []
    monkeypatch.setattr(masks, "_loss", lambda mask, *given: seen.append(weights(mask)) or next(losses))
    settings = MaskSettings(1, 100, 8, 1e-3, patience=3, relative=False)
    kept = train_mask(pairs(), pairs(1), settings, Run(0, 0, quiet))
    assert len(seen) == 5 and same(seen[1], weights(kept))

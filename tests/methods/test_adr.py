"""Laws of ADR: which gradients reach whom in either game, and that it learns; x-vectors tell speakers apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sottovoce.corpora.splits import split
from sottovoce.errors import CorpusError
from sottovoce.methods.adr import training, xvector
from sottovoce.methods.adr.embeddings import embeddings
from sottovoce.methods.adr.training import (
    PRESETS,
    AdrSettings,
    AttributeAdversary,
    bce,
    deceived,
    train_adr,
    train_recogniser,
    undecided,
)
from sottovoce.methods.adr.xvector import Spoken, XVectorSettings, train_xvector
from sottovoce.models.adr import CODE, AttributeReader
from sottovoce.models.xvector import EMBEDDING, XVector
from sottovoce.training import loop
from sottovoce.training.loop import Run

TINY = XVectorSettings({"width": 16, "pooled": 32}, steps=60, batch=32)
LITTLE = AdrSettings(steps=1000, learning_rate=0.02, classifier_steps=200)


def silent(done: int, total: int, note: str) -> None:
    pass


def adversary(game: str, classes: int = 2) -> AttributeAdversary:
    torch.manual_seed(0)
    network = AttributeReader(CODE, classes, 16)
    return AttributeAdversary(network, torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9), game)


@pytest.fixture
def code() -> torch.Tensor:
    return torch.randn(8, CODE, generator=torch.Generator().manual_seed(1)).requires_grad_()


def weights(network: torch.nn.Module) -> list[torch.Tensor]:
    return [value.detach().clone() for value in network.state_dict().values()]


def same(before: list[torch.Tensor], network: torch.nn.Module) -> bool:
    return all(map(torch.equal, before, weights(network)))


# The losses


@pytest.mark.parametrize("classes", [2, 5])
def test_losses_are_what_their_equations_say(classes: int) -> None:
    posterior = torch.softmax(torch.randn(6, classes, dtype=torch.float64), dim=1)
    labels = torch.randint(classes, (6,))
    expected_bce = expected_deceived = 0.0
    for p, y in zip(posterior, labels, strict=True):
        for k in range(classes):
            hit = float(k == y)
            expected_bce -= (hit * p[k].log() + (1 - hit) * (1 - p[k]).log()).item()
            expected_deceived -= (hit * (1 - p[k]).log() + (1 - hit) * p[k].log()).item()
    assert bce(posterior.log(), labels).item() == pytest.approx(expected_bce / 6 / classes)
    assert deceived(posterior.log(), labels).item() == pytest.approx(expected_deceived / 6 / classes)


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_undecided_is_the_sum_of_both_losses_whatever_the_label(classes: int) -> None:
    posterior = torch.softmax(torch.randn(6, classes, dtype=torch.float64), dim=1).log()
    for labels in (torch.randint(classes, (6,)) for _ in range(5)):
        torch.testing.assert_close(undecided(posterior), bce(posterior, labels) + deceived(posterior, labels))


def test_of_two_classes_it_is_the_cross_entropy_of_the_article() -> None:
    posterior = torch.tensor([[0.2, 0.8], [0.9, 0.1]])
    labels = torch.tensor([1, 1])
    assert bce(posterior.log(), labels).item() == pytest.approx(-(np.log(0.8) + np.log(0.1)) / 2)
    assert deceived(posterior.log(), labels).item() == pytest.approx(-(np.log(0.2) + np.log(0.9)) / 2)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_released_game_does_not_know_the_label_and_the_text_does(code: torch.Tensor, classes: int) -> None:
    labels = torch.randint(classes, (8,), generator=torch.Generator().manual_seed(2))
    others = (labels + 1) % classes
    for game, blind in (("released", True), ("text", False)):
        asked = adversary(game, classes)
        one, other = (torch.autograd.grad(asked.pressure(code, y), code)[0] for y in (labels, others))
        assert torch.allclose(one, other, atol=1e-7) == blind, game


def test_the_released_pressure_is_highest_where_the_adversary_is_undecided() -> None:
    game = adversary("released")
    posteriors = torch.tensor([0.01, 0.2, 0.5, 0.8, 0.99])
    values = []
    for p in posteriors:
        game.network.forward = lambda _, p=p: torch.tensor([[1 - p, p]]).log()  # type: ignore[method-assign]
        values.append(game.pressure(torch.zeros(1, CODE), torch.tensor([1])).item())
    assert np.argmax(values) == 2


# The contract of an adversary


@pytest.mark.parametrize("game", ["released", "text"])
def test_improve_changes_the_adversary_alone_and_pressure_the_code_alone(code: torch.Tensor, game: str) -> None:
    player, labels = adversary(game), torch.arange(8) % 2
    before = weights(player.network)
    player.improve(code, labels)
    assert code.grad is None and not same(before, player.network)
    before = weights(player.network)
    kept = [p.grad.clone() for p in player.network.parameters()]
    player.pressure(code, labels).backward()
    assert same(before, player.network) and code.grad is not None and code.grad.abs().sum() > 0
    assert all(map(torch.equal, kept, (p.grad for p in player.network.parameters())))
    first = player.improve(code, labels)
    assert [player.improve(code, labels) for _ in range(50)][-1] < first


def test_replacing_takes_over_what_was_trained_from_nothing(code: torch.Tensor) -> None:
    player, labels = adversary("released"), torch.arange(8) % 2
    fresh = AttributeReader(CODE, 2, 16)
    player.replace(fresh, [(code, labels)] * 30)
    assert same(weights(fresh), player.network)
    assert bce(player.network(code), labels).item() < 0.6


# Training


def vectors(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """X-vectors in which an attribute and a task lie in directions of their own."""
    attribute, task = rng.integers(2, size=600), rng.integers(4, size=600)
    noise = 0.3 * rng.standard_normal((600, EMBEDDING))
    ways = rng.standard_normal((6, EMBEDDING))
    made = noise + ways[attribute] + ways[2 + task]
    return torch.from_numpy(made.astype(np.float32)), torch.from_numpy(attribute), torch.from_numpy(task)


@pytest.mark.parametrize("game", ["released", "text"])
def test_the_adversary_in_the_loop_ends_undecided_and_without_pressure_it_reads(game: str) -> None:
    made, attribute, _ = vectors(np.random.default_rng(0))

    def adversary_at_the_end(weight: float) -> float:
        notes: list[str] = []
        settings = replace(LITTLE, game=game, adversary_weight=weight)
        report = Run(0, 0, lambda done, total, note: notes.append(note))
        train_adr(XVector(2, width=4, pooled=4), made, attribute, 2, settings, report)
        return float(notes[-1].partition("adversary ")[2].split()[0])

    assert adversary_at_the_end(1.0) == pytest.approx(np.log(2.0), abs=0.05)
    assert adversary_at_the_end(0.0) < 0.1


def test_without_an_adversary_it_is_an_autoencoder() -> None:
    made, attribute, task = vectors(np.random.default_rng(0))
    settings = replace(LITTLE, adversary_weight=0.0)
    adr = train_adr(XVector(2, width=4, pooled=4), made, attribute, 2, settings, Run(0, 0, silent))
    with torch.no_grad():
        before = adr.normalised(made)
        after = adr.protect(before)
    assert torch.nn.functional.cosine_similarity(before, after).mean() > 0.6
    reader = train_recogniser(before, task, 4, settings, Run(150, 0, silent))
    assert (reader(after).argmax(dim=1) == task).float().mean() > 0.9


def test_its_seed_decides_it_and_a_resumed_run_ends_as_another(tmp_path) -> None:
    made, attribute, _ = vectors(np.random.default_rng(0))
    xvector = XVector(2, width=4, pooled=4)

    def trained(seed: int, **more) -> list[torch.Tensor]:
        run = Run(0, seed, silent, **more)
        return weights(
            train_adr(xvector, made, attribute, 2, replace(LITTLE, steps=20, classifier_steps=5), run).encoder
        )

    first = trained(0)
    assert all(map(torch.equal, first, trained(0)))
    assert not all(map(torch.equal, first, trained(1)))
    for _ in range(2):  # the second goes on from the end of the first
        assert all(map(torch.equal, first, trained(0, partial=tmp_path / "state", identity="a")))


def test_a_training_that_is_killed_between_two_saves_ends_as_another(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(training, "_AT_ONCE", 4)
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0.0)
    made, attribute, _ = vectors(np.random.default_rng(0))
    xvector, settings = XVector(2, width=4, pooled=4), replace(LITTLE, steps=22, classifier_steps=5)
    told: list[tuple[int, int]] = []

    def killed(done: int, total: int, note: str) -> None:
        if total == 22 and done == 12:
            raise KeyboardInterrupt

    def trained(report, partial: str) -> list[torch.Tensor]:
        run = Run(0, 0, report, tmp_path / partial, "a")
        return weights(train_adr(xvector, made, attribute, 2, settings, run).encoder)

    with pytest.raises(KeyboardInterrupt):
        trained(killed, "one")
    resumed = trained(lambda done, total, note: told.append((done, total)), "one")
    assert told == [(12, 22), (16, 22), (20, 22), (22, 22)], "what was saved is not done again"
    assert all(map(torch.equal, resumed, trained(silent, "other")))


def test_the_paper_preset_has_the_schedule_of_the_release() -> None:
    paper = PRESETS["paper"]
    assert (paper.steps, paper.batch, paper.learning_rate, paper.momentum) == (1_228_000, 64, 1e-4, 0.9)
    assert paper.classifier_steps == 184_000 and paper.adversary_weight == 1.0


def test_a_corpus_of_few_recordings_has_as_many_in_a_batch_as_it_has_speakers(shaped_once, monkeypatch) -> None:
    drawn: dict[int, int] = {}

    def counted(sounds, clips, batch: int, rng: np.random.Generator):
        drawn[len(clips)] = drawn.get(len(clips), 0) + batch
        return loop.draw(sounds, clips, batch, rng)

    monkeypatch.setattr(xvector, "draw", counted)
    manifest, sounds = shaped_once.manifest, shaped_once.sounds
    speakers = [clip.labels["speaker"] for clip in manifest.clips]
    once = np.array([speakers.index(name) for name in sorted(set(speakers))])
    every = np.arange(len(speakers))
    train_xvector([Spoken(manifest, sounds, every), Spoken(manifest, sounds, once)], TINY, Run(20, 0, silent))
    assert drawn[len(once)] == pytest.approx(drawn[len(every)], rel=0.2)


def test_x_vectors_tell_the_speakers_of_two_corpora_apart(shaped_once) -> None:
    manifest, sounds = shaped_once.manifest, shaped_once.sounds
    clips = split(manifest, "utterance").train
    spoken = [Spoken(manifest, sounds, clips), Spoken(manifest, sounds, clips[:1])]
    network = train_xvector(spoken, TINY, Run(TINY.steps, 0, silent))
    assert network.output[-1].out_features == 6, "speakers of different corpora are different people"
    found = embeddings(network, sounds, clips, 2, np.random.default_rng(0))
    assert found.vectors.shape == (3 * len(clips), EMBEDDING)
    assert sorted(found.owner) == sorted(np.repeat(clips, 3))
    names = [manifest.clips[i].labels["speaker"] for i in found.owner]
    unit = torch.nn.functional.normalize(found.vectors - found.vectors.mean(dim=0), dim=1)
    nearest = (unit @ unit.T - 2 * torch.eye(len(unit))).argmax(dim=1)
    assert np.mean([names[i] == names[j] for i, j in enumerate(nearest)]) > 0.6


def test_a_clip_without_a_speaker_is_named(shaped_once) -> None:
    manifest = shaped_once.manifest
    nameless = replace(manifest.clips[3], labels={"word": "no"})
    torn = replace(manifest, clips=(*manifest.clips[:3], nameless, *manifest.clips[4:]))
    with pytest.raises(CorpusError, match=nameless.id):
        train_xvector([Spoken(torn, shaped_once.sounds, np.arange(5))], TINY, Run(1, 0, silent))

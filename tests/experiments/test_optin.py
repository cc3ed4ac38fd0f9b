"""What the experiment `optin` concludes from its runs: more or less than a bottleneck alone, for the same accuracy."""

import pytest

from sottovoce.experiments.experiment import digest
from sottovoce.experiments.optin import OPTIN, VARIANTS
from sottovoce.experiments.optin_table import TABLE, above_bottleneck


def run(right, read, loss="none", ratio=0.0, seed=0, method="optin"):
    """A result in which the target is right in a share of recordings, and attackers read another share."""
    settings = [["obfuscator.body", 8], ["gradient_ratio", ratio]] if method == "optin" else []
    rows = [
        {"attacker": "DeepSpeech2", "knowledge": "uninformed", "validation": 0.1, "score": 0.1},
        {"attacker": "linear", "knowledge": "informed", "validation": 0.6, "score": read},
        {"attacker": "DeepSpeech2", "knowledge": "informed", "validation": 0.5, "score": 0.99},  # the weaker there
        {"attacker": "the floor", "knowledge": "floor", "validation": 0.1, "score": 0.1},
    ]
    readers = {"its own target": right, "another seed": 0.2, "another architecture": 0.1}
    return {
        "seed": seed,
        "method": method,
        "permit": "emotion",
        "test_clips": 288,
        "settings": {"loss": loss, "filter": {"settings": settings}},
        "understood": {"features": readers, "sound": readers},
        "read": {"speaker": rows, "gender": rows},
    }


ALONE = [run(0.3, 0.1), run(0.5, 0.5), run(0.7, 0.9), run(0.4, 0.0, seed=1)]


@pytest.mark.parametrize(
    ("pressed", "points"),
    [
        (run(0.4, 0.3, "latent", 0.3), 0.0),  # half way between .1 and .5
        (run(0.6, 0.6, "-L_a", 0.3), -10.0),  # .7 without pressure
        (run(0.5, 0.6, "latent", 0.3), 10.0),
        (run(0.2, 0.0, "latent", 3.0), None),  # no body is so bad, so nothing can be compared
        (run(0.71, 0.9, "latent", 0.1), None),
        (run(0.5, 0.5), None),  # is what others are compared with
        (run(0.5, 0.5, "latent", 0.3, seed=2), None),  # a seed without such bodies
    ],
)
def test_a_pressed_run_is_compared_with_bodies_that_are_as_useful(pressed, points):
    above = above_bottleneck(pressed, "speaker", [*ALONE, pressed, run(0.7, 0.05, method="codebook")])
    assert above == (None if points is None else pytest.approx(points))


def test_the_caption_counts_the_runs_that_could_be_compared():
    losses = [run(0.4, 0.4, "latent", 0.3), run(0.5, 0.4, "latent", 1.0), run(0.2, 0.0, "latent", 3.0)]
    text = TABLE.markdown([*ALONE, *losses])
    assert "latent, speaker: 0.0 (-10.0 to 10.0) points above in 2 of 3 runs." in text


def test_what_variants_are_compared_with_is_among_them_and_of_the_sweep():
    runs = {digest(each): each for each in VARIANTS.runs["compact"]}
    shared = [each for name, each in runs.items() if name in {digest(one) for one in OPTIN.runs["compact"]}]
    assert len(shared) == 15 and {each.loss for each in shared} == {"none", "latent"}
    changed = [each for each in runs.values() if each not in shared]
    assert len(changed) == 24 and all(", " in each.loss for each in changed)

"""The experiment `rdal`: the schedule of its runs, and both of its checkpoints in table and figures."""

from typing import Any

from sottovoce.experiments.rdal import RDAL
from sottovoce.experiments.rdal_drawing import METHODS, plane, verification_curve


def interval(score: float) -> dict[str, float]:
    return {"score": score, "low": score, "high": score}


def checkpoint(event: float, auc: float) -> dict[str, Any]:
    attacker = {"attacker": "one", "accuracy": interval(0.6), "auc": interval(auc)}
    return {
        "event": {"all": interval(event), "quiet": event + 0.02, "speech": event - 0.02},
        "in_loop": 0.52,
        "paper": {"speech": attacker, "gender": attacker},
        "speech": [attacker],
        "gender": [attacker],
        "speaker": {"eer": 0.5},
        "minute": {"speech": {"auc": 0.9}, "gender": {"auc": 0.8}},
    }


def result(method: str, seed: int, event: float, auc: float, **more: Any) -> dict[str, Any]:
    check = {"step": 3300, "event_accuracy": event, "in_loop_accuracy": 0.5, "fresh_accuracy": 0.6}
    about = {"method": method, "seed": seed, "steps": 3300, "seconds": 1.0, "checks": [check]}
    return {**about, **checkpoint(event, auc), **more}


RESULTS = [
    result("no-privacy", 0, 0.70, 0.83),
    result("compact", 0, 0.12, 0.51, balanced=checkpoint(0.69, 0.66)),
    result("no-privacy", 1, 0.74, 0.85),
    result("compact", 1, 0.72, 0.68),  # both rules kept the same
]


def test_a_line_for_each_rule_and_the_difference_to_no_privacy_of_the_same_seed() -> None:
    lines = [line.split(" | ") for line in RDAL.table.markdown(RESULTS).splitlines()]
    original, balanced = (
        next(line for line in lines if "RDAL" in line[0] and line[1] == rule)
        for rule in ("the original's rule", "events count")
    )
    assert original[2].startswith("42.0") and original[4] == "12.0", "the collapse is seen"
    assert balanced[2].startswith("70.5") and balanced[4] == "69.0"
    assert original[3].startswith("-30.0") and balanced[3].startswith("-1.5")
    assert [line[1] for line in lines if "no privacy" in line[0]] == ["the only one"]


def test_figures_have_one_line_or_mark_for_a_method_and_a_rule() -> None:
    drawing = plane(RESULTS).decode()
    assert drawing.count("<!-- RDAL") == 2 and drawing.count("<!-- no privacy -->") == 1
    several = RESULTS + [result("compact", seed, 0.7, 0.66) for seed in range(2, 5)]
    assert verification_curve(several).decode().count("<!-- events -->") == 1
    assert verification_curve(RESULTS).startswith(b"<?xml")


def test_the_runs_are_the_originals_and_a_seed_is_done_before_the_next() -> None:
    compact, wide = RDAL.runs["compact"], RDAL.runs["wide"]
    assert [run.seed for run in compact] == sorted(run.seed for run in compact)
    assert [run.method for run in compact] == [*METHODS] * 5
    assert {run.settings.samples for run in (*compact, *wide)} == {16000}
    every = {run.method: run.settings.check_every for run in compact}
    assert (every["compact"], every["masked"], every["reversal"]) == (3300, 4620, 66)
    masked = wide[-1]
    assert (masked.settings.extractor, masked.settings.width, masked.mask.settings.masking.width) == ("rdal", 16, 16)
    assert masked.mask.settings.masking.patience == 20

"""Who understands what leaves a filter: its own target, and recognisers that its training never asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sottovoce.corpora.manifest import SplitRule
from sottovoce.experiments.experiment import Cells, Corpus, Experiment, Place, Result, Table, grouped, percent
from sottovoce.experiments.filter_runs import FilterJob, FilterRun, Settings, TargetJob, train_and_audit
from sottovoce.models.codewords import RECORDINGS, SYNTHETIC

SEEDS = (0, 1, 2)
_NAMES = {"x-vector": "an x-vector network", "paper": "DeepSpeech2"}  # of judges, by their presets


@dataclass(frozen=True)
class JudgedRun(FilterRun):
    """A filter and its audit, with judges besides the one that every training keeps back."""

    judges: tuple[TargetJob, ...] = ()


def judged_run(
    corpus: str,
    task: str,
    attack: tuple[str, ...],
    split: SplitRule | None = None,
    target: Settings = (),
    others: Sequence[tuple[str, Settings]] = (),
    seed: int = 0,
    **settings: object,
) -> JudgedRun:
    """A run whose judges are `others`, the presets and settings of other targets of the same task and split."""
    place = Corpus(corpus)
    job = FilterJob(
        (TargetJob(place, task, split=split, settings=target),), seed=seed, settings=tuple(settings.items())
    )
    judges = tuple(TargetJob(place, task, preset, split, more) for preset, more in others)
    return JudgedRun(job, attack, seed=seed, judges=judges)


def _runs(seed: int) -> Iterator[JudgedRun]:
    digits, genders = (("steps", 600),), (("steps", 400),)
    yield judged_run("fsdd:fsdd", "digit", ("speaker",), None, digits, (("x-vector", digits),), seed)
    others = (("x-vector", genders), ("paper", (("steps", 200),)))
    yield judged_run("ravdess:ravdess", "gender", ("emotion",), "speaker", genders, others, seed)
    better = {"encoder": "ensemble", "block_segments": 2, "voters": 2}
    for source in (SYNTHETIC, RECORDINGS):
        emotion = judged_run(
            "ravdess:ravdess",
            "emotion",
            ("gender",),
            "speaker",
            (),
            (("x-vector", ()),),
            seed,
            codewords=source,
            **better,
        )
        yield replace(emotion, title=source)


def _perform(run: JudgedRun, place: Place) -> dict[str, Any]:
    result = train_and_audit(run, place, run.judges)
    names = [_NAMES.get(judge.preset, judge.preset) for judge in run.judges]
    for permitted in result["permitted"].values():  # a judge is known by its place, which is one of this machine
        for judge, name in zip(reversed(permitted["judges"]), reversed(names), strict=False):
            judge["judge"] = name
    return result


def _lines(results: Sequence[Result]) -> Iterator[Cells]:
    """Of each permitted task what its target and each judge get right for each seed, and then what attackers do."""
    for runs in grouped(results, lambda run: (run["corpus"]["name"], run["name"], *run["permit"])).values():
        (task,) = runs[0]["permit"]
        title, seeds = f"{runs[0]['corpus']['name']}, {task}", str(len(runs))
        title += ", recorded codewords" if runs[0]["name"] == RECORDINGS else ""
        entries = [run["permitted"][task] for run in runs]
        rows = [("its own target", entries)]
        for number, judge in enumerate(entries[0]["judges"]):
            rows.append((judge["judge"], [entry["judges"][number] for entry in entries]))
        for name, each in rows:
            before = [entry["original"]["score"] for entry in each]
            after = [(entry.get("sound") or entry["obfuscated"])["score"] for entry in each]
            lost = [b - a for a, b in zip(before, after, strict=True)]
            yield Cells([title, f"{name} understands", seeds, percent(*before), percent(*after), percent(*lost), ""])
        for attribute in runs[0]["private"]:
            attacked = [run["private"][attribute] for run in runs]
            ceiling, floor = ([entry[key]["score"] for entry in attacked] for key in ("ceiling", "floor"))
            found = [entry["strongest"]["score"] for entry in attacked]
            words = f"the strongest attacker reads {attribute}"
            yield Cells([title, words, seeds, percent(*ceiling), percent(*found), "", percent(*floor)])


TABLE = Table(
    tuple(
        (heading, str)
        for heading in ("permitted", "who", "seeds", "of originals, %", "through the filter, %", "change", "floor, %")
    ),
    _lines,
)

EXPERIMENT = Experiment(
    "transfer",
    "Who understands what leaves a codebook filter, besides the target that it was made with?",
    "about 10 minutes for each of its 12 runs on one busy core, and the targets",
    {"compact": tuple(run for seed in SEEDS for run in _runs(seed))},
    _perform,
    TABLE,
)

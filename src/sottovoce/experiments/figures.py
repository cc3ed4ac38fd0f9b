"""Figures 3 and 4 of the opt-in paper: what a target still gets right, over what attackers read, by method.

The values of the article's Figure 3 were not found; the tables have those of its Figure 4 that are of the same
permitted task and attribute. The runs of Figure 4 are among those of Figure 3a.

speechocean762 stands where the article has LibriSpeech. Where the gender is permitted, the people of its test part are
in no training, so that no attacker can name them: what is scored there is how often two recordings are rightly told to
be of one person or of two, 1 - the equal error rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sottovoce.experiments.experiment import Column, Experiment, Place, Result, Table, percent
from sottovoce.experiments.figure_drawing import METHODS, PAPER, over_each_other, over_target
from sottovoce.experiments.filter_runs import FilterRun, Line, by_attribute, filter_run, train_and_audit

SEEDS = (0, 1, 2)
ATTACKERS = {"compact": "quick", "paper": "standard"}  # by preset
_ONLY = ("target", "outline", "nearest", "linear", "svm", "mlp", "cnn", "deepspeech2")  # the paper's among them
EMOTIONAL = ("ravdess:ravdess", "emodb:emodb")
PEOPLE = "kaldi:speechocean762"
# An audit links people who are in no training where it attacks something else than who they are.
_LINKED: Mapping[str, Any] = {"attack": ("age_group",), "attackers": "standard", "only": ("outline", "linear")}


def runs(permit: str, attack: Mapping[str, tuple[str, ...]], hide: str, preset: str) -> tuple[FilterRun, ...]:
    """Every corpus of `attack` (with what is attacked on it), method and seed, one seed after the other.

    `hide` is declared to ADR. The codebook has no preset of the paper's sizes.
    """
    hidden: dict[str, Any] = {"hide": (hide,)}
    named: dict[str, Any] = {"attackers": ATTACKERS[preset], "only": _ONLY}
    return tuple(
        filter_run(
            corpus,
            (permit,),
            method=method,
            preset="compact" if method == "codebook" else preset,
            target_preset=preset,
            seed=seed,
            split="utterance" if corpus == PEOPLE and permit == "speaker" else None,
            **(hidden if method == "adr" else {}),
            **(named | {"attack": attacked} if attacked else _LINKED),
        )
        for seed in SEEDS
        for corpus, attacked in attack.items()
        for method in METHODS
    )


def train_and_attack(run: FilterRun, place: Place) -> dict[str, Any]:
    """Train and audit a filter; where people were linked, "speaker" says how often they were rightly told apart."""
    result = train_and_audit(run, place)
    if run.attack == _LINKED["attack"]:
        linkers = {kind: linker and told_apart(linker) for kind, linker in result["linkage"].items()}
        result["private"]["speaker"] = {"chance": 0.5, "floor": None, "attackers": [], **linkers}
    return result


def told_apart(linker: Result) -> dict[str, Any]:
    """A linker as an attacker whose score is 1 - its equal error rate."""
    rate = linker["eer"]
    right = {"score": 1 - rate["score"], "low": 1 - rate["high"], "high": 1 - rate["low"]}
    return {**right, "attacker": linker["attacker"], "knowledge": linker["knowledge"], "converged": True}


def caption(name: str, attributes: Sequence[str], results: Sequence[Result]) -> str:
    """One sentence that says what was run."""
    attacked = dict.fromkeys(task for each in results for task in each["private"] if task in attributes)
    sizes = {each["corpus"]["name"]: each["corpus"] for each in results}
    where = ", ".join(
        f"{name} ({one['test_clips']} test recordings, split by {one['split']})" for name, one in sizes.items()
    )
    declared = next((each["declared"] for each in results if each["declared"]), "nothing")
    seeds = ", ".join(str(seed) for seed in sorted({each["seed"] for each in results}))
    presets = {each["method"]: each["preset"] for each in results}
    methods = ", ".join(f"{METHODS[name]} (preset {preset})" for name, preset in presets.items())
    attackers = " and ".join(dict.fromkeys(each["attackers"] for each in results))
    hollow = " Hollow: the article's own points." if len(attributes) == 2 else ""
    return (
        f"{name}: permit {results[0]['permit'][0]}, attack {' and '.join(attacked)}, on {where}; {methods}; "
        f"{declared} declared to ADR; seeds {seeds}; {attackers} attackers.{hollow}"
    )


def _key(result: Result) -> tuple[str, str]:
    return result["corpus"]["name"], result["method"]


def _lines(attributes: Sequence[str], results: Sequence[Result]) -> Iterator[Line]:
    yield from by_attribute(_key, results, attributes)


def seeds(scores: Sequence[Result | None]) -> str:
    """The score of each seed, or of all where they are the same."""
    known = [percent(score["score"]) for score in scores if score is not None]
    return " / ".join(known if len(set(known)) > 1 else known[:1]) or "–"


def _target(side: str, line: Line) -> str:
    return seeds([{"score": score} for score in line.targets(side)])


def _highest(line: Line) -> str:
    """The interval and the attacker of the seed that the strongest attacker reads best."""
    row = line.strongest
    least = "" if row["converged"] else "at least "
    return f"{least}{percent(row['low'])} to {percent(row['high'])}, {row['attacker']}"


def published(corpus: str, method: str, permit: str, task: str) -> str:
    """The paper's points, unprotected, uninformed and informed, where it has them."""
    points = PAPER.get((corpus, method))
    if points is None or permit != "speaker" or task not in ("emotion", "gender"):
        return ""
    return " / ".join(str(point[task == "gender"]) for point in points.values())


def _score(key: str, line: Line) -> str:
    return seeds([entry.get(key) for entry in line.entries])


SCORES = ("floor", "ceiling", "unprotected", "uninformed", "informed", "strongest")
COLUMNS: tuple[Column, ...] = (
    ("corpus", lambda line: line.first["corpus"]["name"]),
    ("permitted, method", lambda line: f"{line.first['permit'][0]}, {METHODS[line.first['method']]}"),
    ("target: without", partial(_target, "original")),
    ("with", partial(_target, "obfuscated")),
    ("attacked", lambda line: line.attribute + ("" if line.entries[0]["floor"] else ", told apart")),
    ("chance", lambda line: percent(line.entries[0]["chance"])),
    *((key if key != "unprotected" else "x-vectors, unprotected", partial(_score, key)) for key in SCORES),
    ("highest", _highest),
    (
        "the paper: unprotected / uninformed / informed",
        lambda line: published(*_key(line.first), line.first["permit"][0], line.attribute),
    ),
)


def _table(name: str, *attributes: str) -> Table:
    return Table(COLUMNS, partial(_lines, attributes), partial(caption, name, attributes))


_SPEAKER = {**dict.fromkeys(EMOTIONAL, ("gender", "emotion")), PEOPLE: ("gender",)}
_GENDER = {**dict.fromkeys(EMOTIONAL, ("speaker",)), PEOPLE: ()}  # whose people are linked
_COST = "1 to 10 min to train each of its filters, and as long to audit it; preset paper: hours for each on a GPU"
FIGURE3A = Experiment(
    "figure3a",
    "Where the speaker is permitted, how much of the gender do attackers read?",
    f"27 filters: {_COST}",
    {preset: runs("speaker", _SPEAKER, "gender", preset) for preset in ATTACKERS},
    train_and_attack,
    _table("figure3a", "gender"),
    {"": partial(over_target, "gender")},
    shelf="figures",
)
FIGURE3B = Experiment(
    "figure3b",
    "Where the gender is permitted, how much of the speaker do attackers read?",
    f"27 filters: {_COST}",
    {preset: runs("gender", _GENDER, "speaker", preset) for preset in ATTACKERS},
    train_and_attack,
    _table("figure3b", "speaker"),
    {"": partial(over_target, "speaker")},
    shelf="figures",
)
FIGURE4 = Experiment(
    "figure4",
    "Where the speaker is permitted, how much do attackers read of the gender, declared to ADR, and of emotion, not?",
    f"18 filters, all of them also of figure3a: {_COST}",
    {preset: runs("speaker", {each: _SPEAKER[each] for each in EMOTIONAL}, "gender", preset) for preset in ATTACKERS},
    train_and_attack,
    _table("figure4", "emotion", "gender"),
    {"": partial(over_each_other, "emotion", "gender")},
    shelf="figures",
)

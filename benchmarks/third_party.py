"""Two anonymisers that are not ours, judged end to end: who is linked, and which gender is read.

    python benchmarks/third_party.py --corpora PATH --out DIR

PATH holds librispeech and ravdess. Protected copies, records of the audits and third-party.json are written to DIR.
Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sottovoce.files import write_file
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.progress import Progress

SCRIPT = Path(__file__).with_name("anonymisers.py")
METHODS = {"pitch": [], "mcadams": ["--seed", "0"]}  # +4 semitones for all; a coefficient of its own for each recording
CORPORA = ("librispeech", "ravdess")
# Equal error rates of the VoicePrivacy baseline B2 (McAdams), as the repositories of 2024 and 2026 give them.
PUBLISHED = {("librispeech", "mcadams"): "4.5 % (2024, ECAPA), 4.7 % (2026, WavLM and ECAPA); originals 4.6 %"}


def main() -> None:
    """Protect, audit, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--attackers", default="standard")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    found = [
        _judged(corpus, method, asked.corpora, asked.out, asked.attackers, asked.workers)
        for corpus in CORPORA
        for method in METHODS
    ]
    write_file(asked.out / "third-party.json", json.dumps(found, indent=1).encode())
    print(table(found))


def _judged(corpus: str, method: str, corpora: Path, out: Path, attackers: str, workers: int) -> dict[str, Any]:
    """The results of one audit, without the paths of this machine."""
    place = out / f"{corpus}-{method}"
    if not (place / "audit" / "digests.json").is_file():
        if not (place / "protected").is_dir():
            unfinished = place / "unfinished"
            command = [sys.executable, str(SCRIPT), method, str(corpora / corpus), str(unfinished), *METHODS[method]]
            subprocess.run(command, check=True)
            unfinished.rename(place / "protected")
        said = f"sottovoce audit protected --corpus {corpus}:PATH --attack gender --attackers {attackers} --out audit"
        run_audit(
            AuditConfig(
                str(place / "protected"),
                f"{corpus}:{corpora / corpus}",
                place / "audit",
                attackers,
                ("gender",),
                workers=workers,
                command=said,
            ),
            Progress(),
        )
    results = json.loads((place / "audit" / "results.json").read_text(encoding="utf-8"))
    return {"system": method, **results, "corpus": {**results["corpus"], "spec": f"{corpus}:PATH"}}


def table(found: list[dict[str, Any]]) -> str:
    """One line for each system and corpus."""
    lines = [
        "| corpus | system | EER, originals | EER, strongest linker | by | D_sys | TPR at 1 % FPR | gender, ceiling "
        "| gender, strongest | by | published EER |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for results in found:
        linkage, gender = results["linkage"], results["private"]["gender"]
        strongest = linkage["strongest"]
        cells = [
            results["corpus"]["name"],
            results["system"],
            _percent(linkage["ceiling"]["eer"]),
            _percent(strongest["eer"]),
            f"{strongest['attacker']}, {strongest['input']} ({strongest['knowledge']})",
            f"{strongest['d_sys']:.2f}",
            _percent(strongest["tpr"]),
            _percent(gender["ceiling"]),
            ("" if gender["strongest"]["converged"] else "at least ") + _percent(gender["strongest"]),
            gender["strongest"]["attacker"],
            PUBLISHED.get((results["corpus"]["name"], results["system"]), "none"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(score: dict[str, float]) -> str:
    return f"{100 * score['score']:.1f} % ({100 * score['low']:.1f} to {100 * score['high']:.1f})"


if __name__ == "__main__":
    main()

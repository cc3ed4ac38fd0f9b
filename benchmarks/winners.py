"""Which attackers win, and which never do: over many audits, how often each was the strongest, and what it cost.

    python benchmarks/winners.py AUDIT...

AUDIT is a folder that `sottovoce audit` wrote, or one that holds such folders at any depth. An attacker wins if it is
the strongest of an attribute, chosen on validation; its cost is the seconds of all its seeds, on one thread.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from sottovoce.audit.record import RESULTS, read_results
from sottovoce.errors import ConfigError


def main() -> None:
    """Print a table, the most frequent winner first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", metavar="AUDIT", nargs="+", type=Path)
    won: dict[tuple[str, str], int] = defaultdict(int)
    tried: dict[tuple[str, str], int] = defaultdict(int)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    attributes = 0
    for place in sorted({found for folder in parser.parse_args().folders for found in folder.rglob(RESULTS)}):
        try:
            results = read_results(place.parent)
        except ConfigError:  # of an earlier version, or of something else
            continue
        for entry in results.private.values():
            attributes += 1
            for row in entry.attackers:
                who = (row.attacker, row.input)
                tried[who] += 1
                seconds[who] += row.seconds
                won[who] += row == entry.strongest
    print(f"{'attacker':40} {'input':32} won of tried   mean s   ({attributes} attacked attributes)")
    for who in sorted(tried, key=lambda each: (-won[each], each)):
        print(f"{who[0]:40} {who[1]:32} {won[who]:3} of {tried[who]:5} {seconds[who] / tried[who]:8.1f}")


if __name__ == "__main__":
    main()

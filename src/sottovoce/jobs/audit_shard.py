"""The job behind `sottovoce audit --shard I/N`."""

from __future__ import annotations

from typing import Any

from sottovoce.audit import protocol
from sottovoce.audit.cached_jobs import attacks_folder
from sottovoce.files import claimed
from sottovoce.jobs.audit import OBSERVATIONS, AuditConfig, check, observations, prepared
from sottovoce.parallel import Shard, no_copies_stay
from sottovoce.progress import Report


def run_shard(config: AuditConfig, shard: Shard, report: Report) -> dict[str, Any]:
    """Run the attackers of an audit that belong to a shard, whose results the cache keeps; returns how many they are.

    What attackers observe stays in the folder of the audit, for other shards and for the audit that reports.
    """
    check(config)
    with claimed(config.out, shared=True):
        case, system, attributes, _ = prepared(config, report)
        tried = config.attackers, config.seed, observations(config), config.workers, report, config.only
        with no_copies_stay(observations(config)):
            results = protocol.run_shard(case, system, attributes, *tried, shard)
    failed = [result.error for result in results if result.error]
    broken = f", of which {len(failed)} broke down (the first: {failed[0]})" if failed else ""
    note = (
        f"shard {shard} is complete: {len(results)} jobs{broken}; their results are in {attacks_folder()}, and "
        f"{config.out / OBSERVATIONS} holds what attackers observe; run the same command without --shard once all "
        "shards are complete."
    )
    return {"shard": str(shard), "jobs": len(results), "failed": failed, "note": note}

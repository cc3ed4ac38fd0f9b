"""What a service counts, in the text format of Prometheus; numbers alone, never sound."""

from __future__ import annotations

from collections import Counter

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_ABOUT = {
    "connections": ("gauge", "Connections that are open now."),
    "connections_total": ("counter", "Connections that were accepted."),
    "refused_total": ("counter", "Connections and messages that were refused, by reason."),
    "samples_in_total": ("counter", "Samples that came in."),
    "samples_dropped_total": ("counter", "Samples that were dropped, as they came too fast."),
    "bytes_out_total": ("counter", "Bytes of obfuscated sound or features that were sent."),
    "failures_total": ("counter", "Connections that ended as the filter failed."),
}


class Metrics:
    """Counters, one histogram, and how they are written."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter(dict.fromkeys(_ABOUT, 0))
        self.refused: Counter[str] = Counter()
        self._late: Counter[float] = Counter()
        self._late_sum, self._late_count = 0.0, 0

    def worked(self, seconds: float) -> None:
        """From a message's arrival to the sending of what it made ready."""
        self._late_sum += seconds
        self._late_count += 1
        self._late.update(edge for edge in _BUCKETS_S if seconds <= edge)

    def text(self) -> str:
        """The text that Prometheus reads."""
        lines = []
        for name, (kind, about) in _ABOUT.items():
            lines += [f"# HELP sottovoce_{name} {about}", f"# TYPE sottovoce_{name} {kind}"]
            if name == "refused_total":
                lines += [f'sottovoce_{name}{{reason="{why}"}} {count}' for why, count in sorted(self.refused.items())]
            else:
                lines.append(f"sottovoce_{name} {self.count[name]}")
        name = "sottovoce_added_latency_seconds"
        lines += [f"# HELP {name} From a message's arrival to what it made ready.", f"# TYPE {name} histogram"]
        lines += [f'{name}_bucket{{le="{edge}"}} {self._late[edge]}' for edge in _BUCKETS_S]
        lines += [f'{name}_bucket{{le="+Inf"}} {self._late_count}', f"{name}_sum {self._late_sum:.6f}"]
        return "\n".join([*lines, f"{name}_count {self._late_count}", ""])

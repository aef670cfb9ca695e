"""How late messages left: a histogram of fixed size, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

_STEP = 50e-6  # seconds a bin
_BINS = 2000  # so the last begins at 0.1 s


@dataclass(frozen=True)
class Summary:
    """Seconds by which messages were late: the middle, the tail and the worst of `count`."""

    count: int = 0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    worst: float = 0.0


class Lateness:
    """Counts latenesses in bins of 0.05 ms up to 0.1 s; what is later is in the last bin."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._bins = [0] * _BINS
        self._count, self._worst = 0, 0.0

    def add(self, seconds: float) -> None:
        """Count one message; early is in time."""
        late = max(seconds, 0.0)
        self._bins[min(int(late / _STEP), _BINS - 1)] += 1
        self._count += 1
        self._worst = max(self._worst, late)

    def quantile(self, part: float) -> float:
        """The lateness (upper edge of its bin) that this part (0..1) of all does not exceed."""
        left = part * self._count
        for number, count in enumerate(self._bins):
            left -= count
            if left <= 0:
                return min((number + 1) * _STEP, self._worst)
        return self._worst

    def summary(self) -> Summary:
        """Median, 95th and 99th percentile, and the worst."""
        p50, p95, p99 = map(self.quantile, (0.5, 0.95, 0.99))
        return Summary(self._count, p50, p95, p99, self._worst)

    def histogram(self, edges: tuple[float, ...] = (0.5e-3, 1e-3, 2e-3, 3e-3, 5e-3)) -> list[int]:
        """Counts between these edges (seconds, multiples of 0.05 ms), below and above them."""
        ends = [round(edge / _STEP) for edge in edges]
        return [sum(self._bins[a:b]) for a, b in zip([0, *ends], [*ends, _BINS], strict=True)]

"""Numbers as the screen shows them: short, and never wider than their column, so that nothing moves while they change."""

from __future__ import annotations

from farm.screen.model import Quantiles

NONE = "-"
TIME_WIDTH = 5
RATE_WIDTH = 7
COUNT_WIDTH = 7
SHARE_WIDTH = 4
SIZE_WIDTH = 5
COUNTED_MAX = 10_000
"""Above it, a depth was not counted to its end."""


def time_text(seconds: float | None) -> str:
    """Show a duration in at most five cells: `840us`, `9.5ms`, `140ms`, `2.1s`, `41s`, `2m10s`, `3h04m`, `12d`."""
    if seconds is None:
        return NONE
    if seconds < 0.0000005:
        return "0s"
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f}us"
    if seconds < 0.00995:
        return f"{seconds * 1e3:.1f}ms"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(min(seconds, 1e9))
    if whole < 100:
        return f"{whole}s"
    if whole < 600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 36_000:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 3600}h" if whole < 100 * 3600 else f"{min(whole // 86_400, 9999)}d"


def rate_text(rate: float | None) -> str:
    """Show how many a second in at most seven cells: `0`, `3.2`, `9,870`, `123,456`."""
    if rate is None:
        return NONE
    if rate <= 0:
        return "0"
    return f"{rate:.1f}" if rate < 9.95 else count_text(round(min(rate, 1e12)))


def count_text(count: int) -> str:
    """Show a number in at most seven cells: `91`, `9,870`, `1.23 M`."""
    if count < 1_000_000:
        return f"{count:,}"
    for unit, size in (("M", 1e6), ("G", 1e9)):
        if count < 999.5 * size:
            return f"{count / size:.3g} {unit}"
    return f"{min(count / 1e12, 999):.3g} T"


def depth_text(count: int | None) -> str:
    """Show how many wait in at most seven cells: `>10,000` of more than were counted."""
    if count is None:
        return NONE
    return f"{count:,}" if count <= COUNTED_MAX else f">{COUNTED_MAX:,}"


def share_text(share: float | None) -> str:
    """Show a share (0 to 1) as a percentage in at most four cells: `0%`, `1.9%`, `12%`, `100%`."""
    if share is None:
        return NONE
    percent = share * 100
    if percent <= 0:
        return "0%"
    if percent < 0.1:
        return "<.1%"
    return f"{percent:.1f}%" if percent < 9.95 else f"{min(percent, 999):.0f}%"


def size_text(size_bytes: float) -> str:
    """Show a size in at most five cells, in powers of 1000: `17B`, `164M`, `1.5G`."""
    size = float(max(size_bytes, 0))
    for unit in ("B", "k", "M", "G", "T"):
        if size < 99.5 or unit == "T":
            return f"{min(size, 9999):.{1 if size < 9.95 and unit != 'B' else 0}f}{unit}"
        if size < 999.5:
            return f"{size:.0f}{unit}"
        size /= 1000
    raise AssertionError("T is the last unit")


def quantiles_text(of: Quantiles) -> str:
    """Show three quantiles, aligned: `p50 1.2ms  p95 4.4ms  p99 9.8ms`."""
    named = (("p50", of.p50_s), ("p95", of.p95_s), ("p99", of.p99_s))
    return " ".join(f"{name} {time_text(value):>{TIME_WIDTH}}" for name, value in named)

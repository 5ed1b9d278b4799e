"""Draw what bench.cost_profile measured: `python -m bench.cost_chart FIGURES.json CHART.svg`, and print it as a table.

One bar, a segment for each part, as wide as what it costs; below it what the segments are. Plain SVG, written by hand: it needs nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from bench.cost_profile import Cost, print_costs, shares

WIDTH, MARGIN = 960, 24
BAR_TOP, BAR_HEIGHT = 64, 56
LEGEND_TOP, LEGEND_ROW = BAR_TOP + BAR_HEIGHT + 60, 24
LABEL_WIDTH_MIN = 44
"""A narrower segment has its figure in the legend only."""
SHADES = {
    "supervisor": ("#1d4e89", "#3b7dc4", "#6b9bd1"),
    "subworkers": ("#2e7d4f",),
    "writer": ("#c46a1b",),
    "PostgreSQL": ("#54478c", "#6a5ca3", "#8172b8", "#9384c4", "#a69ad0"),
}
"""A hue for each process, a shade for each of its parts."""
OTHER_SHADE = "#888888"


def main(arguments: Sequence[str]) -> int:
    """Read the figures, print them and write the chart. Returns 2 when there is something wrong with a file."""
    if len(arguments) != 2:
        print("usage: python -m bench.cost_chart FIGURES.json CHART.svg", file=sys.stderr)
        return 2
    try:
        figures = json.loads(Path(arguments[0]).read_bytes())
        costs = [Cost(**cost) for cost in figures["costs"]]
        text = chart(costs, cores=figures["environment"]["cores"])
        Path(arguments[1]).write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"bench.cost_chart: {error}", file=sys.stderr)
        return 2
    except (ValueError, KeyError, TypeError) as error:
        print(f"bench.cost_chart: {arguments[0]} has no figures of bench.cost_profile: {error!r}", file=sys.stderr)
        return 2
    print_costs(costs)
    return 0


def chart(costs: Sequence[Cost], *, cores: int) -> str:
    """Return the picture as SVG. Raises ValueError without costs."""
    total = sum(cost.us for cost in costs)
    if total <= 0:
        raise ValueError("there are no costs")
    height = LEGEND_TOP + LEGEND_ROW * len(costs) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="14" fill="#222222" role="img">',
        f"<title>CPU time of a no-op job: {total:.1f} microseconds</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(MARGIN, 36, f"CPU time of a no-op job, in all processes: {total:.1f} µs", size=18),
        *_bar(costs),
        _text(MARGIN, LEGEND_TOP - 24, f"On {cores} cores that allows {cores * 1e6 / total:,.0f} jobs a second.", colour="#555555"),
        *_legend(costs),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def segments(costs: Sequence[Cost], width: float) -> list[tuple[float, float]]:
    """Return where each segment begins and how wide it is."""
    ends = accumulate((share * width for share in shares(costs)), initial=0.0)
    return [(begin, end - begin) for begin, end in pairwise(ends)]


def shades(costs: Sequence[Cost]) -> list[str]:
    """Return a colour for each part: the next shade of its group."""
    left = {group: list(found) for group, found in SHADES.items()}
    return [left[cost.group].pop(0) if left.get(cost.group) else OTHER_SHADE for cost in costs]


def _bar(costs: Sequence[Cost]) -> Iterator[str]:
    for cost, shade, (begin, width) in zip(costs, shades(costs), segments(costs, WIDTH - 2 * MARGIN), strict=True):
        yield (
            f'<rect x="{MARGIN + begin:.1f}" y="{BAR_TOP}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{shade}" stroke="#ffffff">'
            f"<title>{escape(_name(cost))}: {cost.us:.2f} µs</title></rect>"
        )
        if width >= LABEL_WIDTH_MIN:
            middle = MARGIN + begin + width / 2
            yield _text(middle, BAR_TOP + BAR_HEIGHT / 2 + 5, f"{cost.us:.1f}", colour="#ffffff", anchor="middle")


def _legend(costs: Sequence[Cost]) -> Iterator[str]:
    for number, (cost, share, shade) in enumerate(zip(costs, shares(costs), shades(costs), strict=True)):
        y = LEGEND_TOP + LEGEND_ROW * number
        yield f'<rect x="{MARGIN}" y="{y}" width="14" height="14" fill="{shade}"/>'
        yield _text(MARGIN + 24, y + 12, _name(cost))
        yield _text(MARGIN + 330, y + 12, f"{cost.us:.2f} µs", anchor="end")
        yield _text(MARGIN + 390, y + 12, f"{share:.0%}", anchor="end")
        yield _text(MARGIN + 414, y + 12, cost.does, colour="#555555")


def _name(cost: Cost) -> str:
    return cost.name if cost.name == cost.group else f"{cost.group}: {cost.name}"


def _text(x: float, y: float, text: str, *, size: int = 14, colour: str = "#222222", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

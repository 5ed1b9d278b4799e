"""A snapshot whose every foreign text tries to break the screen: escapes, reversed text, marks that pile up, wide letters."""

from __future__ import annotations

from dataclasses import replace

from farm.screen.model import JobRun, Snapshot
from tests.screen.lively import snapshot

TEXTS = (
    "\x1b[2J\x1b[1;1Hgone", "\x1b]0;title\x07named", "red \x1b[31mred\x9b0m", "two\r\nlines\tand a tab", "\u202egnitsrever\u202c",
    "zero\u200bwidth\u2060", "Z\u0361\u0362\u0363\u0364a\u0321\u0322\u0323lgo", "日本語のジョブ名", "👩‍👩‍👧‍👦 family", "👍🏽 thumb",
    "\x00\x07\x08nul", "\uff46\uff55\uff4c\uff4c", "e\u0301 composed", "\ud800 half", "\u2028separator",
    "🇩🇪 flag", "a" * 3000, "語" * 300, "",
)  # fmt: skip


def hostile() -> Snapshot:
    """Return the farm of `lively` with all texts replaced."""
    seen = snapshot(8)
    texts = iter(TEXTS * 40)
    lanes = tuple(
        replace(lane, name=next(texts), queues=(next(texts),), held_by=(next(texts),), trouble=next(texts)) for lane in seen.lanes
    )
    subworkers = tuple(
        replace(one, name=next(texts), lane=next(texts), state=next(texts), restarted_why=next(texts),
                jobs=(JobRun(job_id=number, task=next(texts), running_s=1.0, progress=0.5, text=next(texts)),))
        for number, one in enumerate(seen.subworkers)
    )  # fmt: skip
    failures = tuple(
        replace(failure, lane=next(texts), task=next(texts), kind=next(texts), text=next(texts), then=next(texts))
        for failure in seen.failures
    )
    hosts = tuple(
        replace(host, name=next(texts), instance=next(texts), state=next(texts), version=next(texts), lanes=(next(texts),))
        for host in seen.hosts
    )
    return replace(seen, instance=TEXTS[0], host=TEXTS[4], lanes=lanes, subworkers=subworkers, failures=failures, hosts=hosts,
                   notices=TEXTS[:3], log_path=TEXTS[3], database=replace(seen.database, name=TEXTS[7]))  # fmt: skip

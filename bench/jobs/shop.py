"""Jobs of a shop that is only played, for pictures of the screen. Only subworkers import this."""

from __future__ import annotations

import random
import time

import farm

MB = 1_000_000
HELD: list[bytes] = []


def resize(image: int) -> int:
    """Need a processor for a moment."""
    until = time.monotonic() + random.uniform(0.0005, 0.003)
    while time.monotonic() < until:
        pass
    return image


def send_mail(number: int) -> None:
    """Wait for somebody else, who sometimes does not answer."""
    time.sleep(random.uniform(0.01, 0.05))
    if number % 170 == 7:
        raise ConnectionError("503 from mail.example.com: try again later")
    if number % 410 == 9:
        raise ValueError(f"customer {number} has no address")


def newsletter(seconds: float) -> None:
    """Take a slot for long: the others of its lane wait."""
    time.sleep(seconds)


def report(month: int, seconds: float) -> int:
    """Take some seconds, and tell how far it is."""
    for page in range(100):
        farm.progress(page / 100, f"page {page} of 100")
        time.sleep(seconds / 100)
    return month


def export(megabytes_a_second: int, seconds: float) -> int:
    """Want more and more memory."""
    for _ in range(int(seconds * 10)):
        HELD.append(b"x" * (megabytes_a_second * MB // 10))
        time.sleep(0.1)
    held = len(HELD)
    HELD.clear()
    return held

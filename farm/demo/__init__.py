"""A farm at work on real files: the tasks noop, sleep, spin and survey of `farm.demo`, and the command `farm demo`."""

from farm.demo.tasks import noop, sleep, spin, survey

__all__ = ["noop", "sleep", "spin", "survey"]

"""A farm at work on real files: the tasks `farm.demo:noop`, `farm.demo:sleep` and `farm.demo:survey`, and the command `farm demo`."""

from farm.demo.tasks import noop, sleep, survey

__all__ = ["noop", "sleep", "survey"]

"""The seams of the farm: what a part expects of its neighbours. Implementations stand in runners/ and farm/store/."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Job(NamedTuple):
    """A job as its runner sees it."""

    id: int
    task: str
    args: Any
    """Decoded JSON: a dict gives keyword arguments, a list positional ones."""
    attempt: int
    """1 for the first start."""


def _ignore(loop: AbstractEventLoop, coroutine: Any) -> None:
    pass


class SubworkerContext(NamedTuple):
    """What a runner may know of the subworker in which it is set up."""

    lane: str
    concurrency: int
    path: tuple[str, ...]
    """Directories of the user's modules, to be appended to sys.path."""
    awaits: Callable[[AbstractEventLoop, Any], None] = _ignore
    """To be called by a runner that runs a job on a loop of its own, with the loop and the coroutine, right before it does: so the
    job can be cancelled."""
    imported: Callable[[], None] = lambda: None
    """To be called when user's code was imported for a job: what that has changed in the process stays, unlike what jobs change."""


class Runner(Protocol):
    """Runs one kind of task inside a subworker.

    `options` declares the keys of the runner's section, each as a JSON Schema with a `description`: editors are told of them, and
    the loader refuses all others. `configure` is called in the supervisor, once at start, with that section; what it returns
    (JSON values only) is all that reaches the subworkers. A runner then has one of the three ways to run: `run` (one job),
    `arun` (one job, awaited) or `run_many` (many at once, a result or an exception for each, in order); or both `run` and
    `arun`, and `blocks` to choose (RunsEither). `run` may have a shortcut (RunsBound). Any exception ends the job as
    failed; return values must be JSON.

    In a lane with `concurrency` above 1 a subworker has so many jobs in flight: `arun` on its one loop, everything else in
    threads, several at once. A coroutine that comes back from a thread is awaited on the loop.
    """

    name: ClassVar[str]
    options: ClassVar[Mapping[str, Mapping[str, Any]]]

    @classmethod
    def configure(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Validate options in the supervisor. Raises RunnerError with one line that names the option."""
        ...

    @classmethod
    def allows(cls, options: Mapping[str, Any], task: str) -> str | None:
        """Say in the supervisor why this task must not run here, or None if it may. Must be pure: answers are kept."""
        ...

    def setup(self, options: Mapping[str, Any], context: SubworkerContext) -> None:
        """Get ready, once per subworker after its fork. Raises whatever stops it from working."""
        ...


class RunsOne(Runner, Protocol):
    def run(self, job: Job) -> Any: ...


class RunsAsync(Runner, Protocol):
    async def arun(self, job: Job) -> Any: ...


class RunsMany(Runner, Protocol):
    def run_many(self, jobs: Sequence[Job]) -> Sequence[Any | BaseException]: ...


class RunsEither(RunsOne, RunsAsync, Protocol):
    """Runs every job by `run` where jobs run one at a time. Where many do, `arun` those that do not block."""

    def blocks(self, job: Job) -> bool:
        """Tell whether a job would hold up those beside it on a loop, so that it is `run` in a thread. May raise what stops it."""
        ...


class RunsBound(RunsOne, Protocol):
    """Spares most of its jobs the way through `run`, in lanes with one job at a time."""

    def bind(self, task: str) -> Callable[[Any], Any] | None:
        """Return what does for a job's args all that `run` would do for the job, or None if that takes more: its id, an import.

        Asked once for every few dozen jobs of a task, before they start: must do and raise nothing.
        """
        ...


class FindsFunctions(Runner, Protocol):
    """Runs tasks that are functions of Python, which a debugger can stop in."""

    def find(self, task: str) -> Callable[..., Any]:
        """Return the function that a task names. May raise whatever keeps it from being found."""
        ...


class Part(Protocol):
    """One long-lived thing of a process. Whoever owns it decides in which thread it steps."""

    def step(self, now: float) -> float:
        """Do one bounded piece of work; now is CLOCK_MONOTONIC in seconds. Returns the seconds until it wants to run again."""
        ...

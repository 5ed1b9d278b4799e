"""What the claimer knows of the work in the store: which classes have some, at which priority, above which id. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from farm.supervisor.lane import Lane

ANY_QUEUE = "*"


@dataclass(slots=True)
class Pair:
    """A class and a priority that have, or may have, work."""

    class_id: int
    priority: int
    ready: bool = False
    returned: bool = False


class Worklist:
    """Fed by looks and claims; answers which pair a lane takes next.

    Ids up to a pair's bound were claimed: looks and claims begin above it, so that they need not walk over dead index entries.
    Below it lie only late commits. A look everywhere, now and then, finds them, and the next claim of each pair then sweeps.
    """

    def __init__(self, *, runner_names: Iterable[str]) -> None:
        self._runner_names = frozenset(runner_names)
        self._classes: dict[int, tuple[str, str, int]] = {}
        self._pairs: dict[tuple[int, int], Pair] = {}
        self._bounds: dict[tuple[int, int], int] = {}
        self._to_sweep: set[tuple[int, int]] = set()

    @property
    def has_pairs(self) -> bool:
        """True while some pair has, or may have, work."""
        return bool(self._pairs)

    def learn(self, classes: Mapping[int, tuple[str, str, int]]) -> None:
        """Take in the class table: class id -> (queue, runner, memory class)."""
        self._classes = {class_id: of for class_id, of in classes.items() if of[1] in self._runner_names}

    def class_ids(self, lanes: Sequence[Lane]) -> list[int]:
        """Return the classes that any of these lanes can serve."""
        return [class_id for class_id, of in self._classes.items() if any(_serves(lane, of) for lane in lanes)]

    def classes_wanted(self, queues: Sequence[str], memory_mb: int = 0) -> list[int] | None:
        """Return the classes that a lane waits for; None for any, including those that do not exist yet."""
        if ANY_QUEUE in queues:
            return None
        return [class_id for class_id, of in self._classes.items() if of[0] in queues and of[2] <= memory_mb]

    def runner(self, class_id: int) -> str:
        return self._classes[class_id][1]

    @property
    def bounds(self) -> Mapping[tuple[int, int], int]:
        """For each (class, priority) the id up to which it was claimed."""
        return self._bounds

    def note_found(self, found: Iterable[tuple[int, int, bool]], *, everywhere: bool) -> None:
        """Take in a look at the store: (class, priority, whether it stands in `returned`); what it did not find has no work.

        everywhere: it was a look below the bounds too.
        """
        self._pairs = {}
        for class_id, priority, from_returned in found:
            pair = self._pairs.setdefault((class_id, priority), Pair(class_id, priority))
            if from_returned:
                pair.returned = True
            else:
                pair.ready = True
        self._to_sweep = {key for key in self._bounds if key in self._pairs and self._pairs[key].ready} if everywhere else set()

    def note_rumour(self, class_id: int, priority: int) -> bool:
        """Take in that a pair is said to have work in `ready`; False if its class is not known here."""
        if class_id not in self._classes:
            return False
        self._pairs.setdefault((class_id, priority), Pair(class_id, priority)).ready = True
        return True

    def best(self, queues: Sequence[str], memory_mb: int = 0) -> Pair | None:
        """Return the pair to claim from: first queue of the chain that has work, then the most urgent priority, then the oldest class.

        memory_mb is what the lane allows a job, in millions of bytes: pairs of higher memory classes are left to others.
        """
        for queue in queues:
            named = [pair for pair in self._pairs.values() if self._is_for(pair, queue, queues, memory_mb)]
            if named:
                return min(named, key=lambda pair: (pair.priority, pair.class_id))
        return None

    def above(self, pair: Pair) -> int:
        """Return the id above which to claim next; 0 where the last look was one everywhere: then the claim sweeps, once."""
        key = (pair.class_id, pair.priority)
        if key in self._to_sweep:
            self._to_sweep.discard(key)
            return 0
        return self._bounds.get(key, 0)

    def note_claimed(self, pair: Pair, *, ready: int, ready_asked: int, returned: int, returned_asked: int, last_id: int) -> None:
        """Take in what a claim brought: fewer than asked for means that nothing more is there, for now."""
        key = (pair.class_id, pair.priority)
        if last_id:
            self._bounds[key] = max(self._bounds.get(key, 0), last_id)
        if ready < ready_asked:
            pair.ready = False
        if returned < returned_asked:
            pair.returned = False
        if not pair.ready and not pair.returned:
            self._pairs.pop(key, None)

    def _is_for(self, pair: Pair, queue: str, queues: Sequence[str], memory_mb: int) -> bool:
        of = self._classes.get(pair.class_id)
        if of is None or of[2] > memory_mb:
            return False
        return of[0] == queue or (queue == ANY_QUEUE and of[0] not in queues)


def _serves(lane: Lane, of: tuple[str, str, int]) -> bool:
    queues = lane.config.queues
    return (of[0] in queues or ANY_QUEUE in queues) and of[2] <= lane.memory_mb

"""What the claimer knows of the work in the store: which classes have some, at which priority, above which id. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from farm.supervisor.lane import Lane

ANY_QUEUE = "*"
SWEEP_S = 1.0
"""Late commits with ids below a bound are looked for at most this often."""


@dataclass(slots=True)
class Pair:
    """A class and a priority that have, or may have, work."""

    class_id: int
    priority: int
    ready: bool = False
    returned: bool = False


@dataclass(slots=True)
class Bound:
    """Ids up to last_id were claimed: the claim begins above, so that it need not walk over dead index entries."""

    last_id: int = 0
    swept_at: float = field(default=float("-inf"))


class Worklist:
    """Fed by looks and claims; answers which pair a lane takes next."""

    def __init__(self, *, runner_names: Iterable[str]) -> None:
        self._runner_names = frozenset(runner_names)
        self._classes: dict[int, tuple[str, str, int]] = {}
        self._pairs: dict[tuple[int, int], Pair] = {}
        self._bounds: dict[tuple[int, int], Bound] = {}
        self._dry: set[tuple[int, int]] = set()

    @property
    def has_pairs(self) -> bool:
        """True while some pair has, or may have, work."""
        return bool(self._pairs)

    def learn(self, classes: Mapping[int, tuple[str, str, int]]) -> None:
        """Take in the class table: class id -> (queue, runner, memory class)."""
        self._classes = {class_id: of for class_id, of in classes.items() if of[1] in self._runner_names}

    def class_ids(self, lanes: Sequence[Lane]) -> list[int]:
        """Return the classes that any of these lanes can serve."""
        return [class_id for class_id, of in self._classes.items() if any(_serves(lane.config.queues, of[0]) for lane in lanes)]

    def classes_wanted(self, queues: Sequence[str]) -> list[int] | None:
        """Return the classes that a lane waits for; None for any, including those that do not exist yet."""
        if ANY_QUEUE in queues:
            return None
        return [class_id for class_id, of in self._classes.items() if of[0] in queues]

    def runner(self, class_id: int) -> str:
        return self._classes[class_id][1]

    def note_found(self, found: Iterable[tuple[int, int, bool]]) -> None:
        """Take in a look at the store: (class, priority, whether it stands in `returned`); what it did not find has no work.

        A look sees all ids. What a claim above its bound could not find, it will find below: such a pair is to be swept.
        """
        before, self._pairs = self._pairs, {}
        for class_id, priority, from_returned in found:
            pair = self._pairs.setdefault((class_id, priority), Pair(class_id, priority))
            if from_returned:
                pair.returned = True
            else:
                pair.ready = True
        self._dry = {key for key in self._pairs if self._pairs[key].ready and (key in self._dry or key not in before)}

    def note_rumour(self, class_id: int, priority: int) -> bool:
        """Take in that a pair is said to have work in `ready`; False if its class is not known here."""
        if class_id not in self._classes:
            return False
        self._pairs.setdefault((class_id, priority), Pair(class_id, priority)).ready = True
        return True

    def best(self, queues: Sequence[str]) -> Pair | None:
        """Return the pair to claim from: first queue of the chain that has work, then the most urgent priority, then the oldest class."""
        for queue in queues:
            named = [pair for pair in self._pairs.values() if self._is_for(pair, queue, queues)]
            if named:
                return min(named, key=lambda pair: (pair.priority, pair.class_id))
        return None

    def bound(self, pair: Pair, now: float) -> int:
        """Return the id above which to claim; 0 when it is time to sweep."""
        bound = self._bounds.setdefault((pair.class_id, pair.priority), Bound())
        if (pair.class_id, pair.priority) in self._dry and now - bound.swept_at >= SWEEP_S:
            bound.swept_at = now
            return 0
        return bound.last_id

    def note_claimed(
        self, pair: Pair, *, ready: int, ready_asked: int, returned: int, returned_asked: int, last_id: int, unbounded: bool
    ) -> None:
        """Take in what a claim brought: fewer than asked for means that nothing more is there, for now."""
        key = (pair.class_id, pair.priority)
        bound = self._bounds.setdefault(key, Bound())
        bound.last_id = max(bound.last_id, last_id)
        if ready < ready_asked:
            pair.ready = False
            if unbounded:
                self._dry.discard(key)
            else:
                self._dry.add(key)
        if returned < returned_asked:
            pair.returned = False
        if not pair.ready and not pair.returned:
            self._pairs.pop(key, None)

    def _is_for(self, pair: Pair, queue: str, queues: Sequence[str]) -> bool:
        of = self._classes.get(pair.class_id)
        if of is None:
            return False
        return of[0] == queue or (queue == ANY_QUEUE and of[0] not in queues)


def _serves(queues: Sequence[str], queue: str) -> bool:
    return queue in queues or ANY_QUEUE in queues

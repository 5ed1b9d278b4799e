"""What the claimer knows of the work in the store: which classes have some, at which priority, from where on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from farm.model import Share
from farm.supervisor.lanes.lane import ANY_QUEUE, Lane
from farm.supervisor.lanes.origins import Origin

PAIRS_MAX = 16
"""Classes in one claim: more would share a batch out in pieces of a few jobs, each with a look of its own."""
ENDLESS = (1 << 63) - 1
NOBODY: frozenset[str] = frozenset()
Key = tuple[int, int]
"""(class id, priority)."""


@dataclass(slots=True)
class Pair:
    """A class and a priority that have, or may have, work."""

    class_id: int
    priority: int
    ready: bool = False
    returned: bool = False


class Reach:
    """How far one table was claimed, for each pair: a job id of `ready`, or a number of `returned`.

    Looks and claims begin above the bound, so that they need not walk over dead index entries. Below it lie only late commits. Where
    a sweep found some, claims go back: they begin before the first of them and end where the sweep ended, until that is drained.
    """

    def __init__(self) -> None:
        self.bounds: dict[Key, int] = {}
        self.late: dict[Key, tuple[int, int]] = {}
        """For pairs whose claims went back: above what and up to what to claim."""

    @property
    def newest(self) -> int:
        """The highest bound; 0 if there is none."""
        return max(self.bounds.values(), default=0)

    def span(self, key: Key) -> tuple[int, int]:
        """Return above what and up to what to claim next."""
        return self.late.get(key) or (self.bounds.get(key, 0), ENDLESS)

    def note_first(self, key: Key, first: int) -> None:
        """Take in the first entry of a pair that was seen: below it nothing is left, or it is late itself."""
        bound = self.bounds.get(key, 0)
        if first > bound:
            self.bounds[key] = first - 1
        else:
            self.note_late(key, first, bound)

    def note_late(self, key: Key, first: int, upto: int) -> None:
        """Take in that entries stand below the bound, the first one here. Those of other stretches are found again later."""
        self.late.setdefault(key, (first - 1, upto))

    def note_claimed(self, key: Key, last: int, *, drained: bool) -> bool:
        """Take in the last number that a claim brought (0: none), and whether nothing is left in its span.

        Returns whether nothing is left of the pair; after a claim that went back nobody knows.
        """
        if key in self.late:
            above, upto = self.late.pop(key)
            if not drained and last < upto:
                self.late[key] = (max(last, above), upto)
            return False
        if last > self.bounds.get(key, 0):
            self.bounds[key] = last
        return drained


class Worklist:
    """Fed by looks and claims; answers which pairs a lane takes next."""

    def __init__(self, *, runner_names: Iterable[str]) -> None:
        self.runner_names = frozenset(runner_names)
        self._known: Mapping[int, tuple[str, str, int]] = {}
        """All classes of our runners."""
        self._classes: dict[int, tuple[str, str, int]] = {}
        """Of these, the ones whose queue is not paused."""
        self._paused: frozenset[str] = frozenset()
        self._namers: dict[str, frozenset[str]] = {}
        """By queue, the lanes that name it."""
        self._pairs: dict[Key, Pair] = {}
        """In the order in which they are served: what was claimed from goes to the end, what got least first."""
        self.ready, self.returned = Reach(), Reach()
        self._reaches = {False: self.ready, True: self.returned}

    @property
    def has_pairs(self) -> bool:
        """True while some pair has, or may have, work."""
        return bool(self._pairs)

    def learn(self, classes: Mapping[int, tuple[str, str, int]]) -> None:
        """Take in the class table: class id -> (queue, runner, memory class)."""
        self._known = {class_id: of for class_id, of in classes.items() if of[1] in self.runner_names}
        self.pause(self._paused)

    def pause(self, queues: frozenset[str]) -> None:
        """Give out nothing of these queues, until they are paused no longer; then a look has to tell what there is."""
        self._paused = queues
        self._classes = {class_id: of for class_id, of in self._known.items() if of[0] not in queues}
        self._pairs = {key: pair for key, pair in self._pairs.items() if key[0] in self._classes}

    def know(self, lanes: Sequence[Lane]) -> None:
        """Be told which lanes there are on this host."""
        queues = {queue for lane in lanes for queue in lane.config.queues}
        self._namers = {queue: frozenset(lane.name for lane in lanes if queue in lane.config.queues) for queue in queues}

    def origin(self, class_ids: Iterable[int]) -> Origin:
        """Return where jobs of these classes come from; claimed together, they need the same of a lane."""
        classes = [self._known[class_id] for class_id in class_ids]
        return Origin(frozenset(of[0] for of in classes), max((of[2] for of in classes), default=0))

    def class_ids(self, lanes: Sequence[Lane]) -> list[int]:
        """Return the classes that any of these lanes can serve."""
        return [class_id for class_id, of in self._classes.items() if any(_serves(lane, of) for lane in lanes)]

    def classes_wanted(self, queues: Sequence[str], memory_mb: int = 0) -> list[int] | None:
        """Return the classes that a lane waits for; None for any, including those that do not exist yet."""
        if ANY_QUEUE in queues:
            return None
        return [class_id for class_id, of in self._classes.items() if of[0] in queues and of[2] <= memory_mb]

    def runner(self, class_id: int) -> str:
        return self._known[class_id][1]

    def note_found(self, found: Iterable[tuple[int, int, bool, int]]) -> None:
        """Take in a look at the store: (class, priority, whether in `returned`, its first entry); what it did not find has no work."""
        # A look begins above the bounds, and does not see what claims went back for.
        going_back = [(key, from_returned) for from_returned, reach in self._reaches.items() for key in reach.late]
        before, self._pairs = self._pairs, {}
        seen: dict[Key, Pair] = {}
        for class_id, priority, from_returned, first in found:
            self._mark(seen, (class_id, priority), from_returned)
            self._reaches[from_returned].note_first((class_id, priority), first)
        for key, from_returned in going_back:
            self._mark(seen, key, from_returned)
        # Who was waiting keeps his place.
        self._pairs = {key: seen.pop(key) for key in before if key in seen} | seen

    def note_late(self, found: Iterable[tuple[int, int, bool, int, int]]) -> None:
        """Take in what a sweep found at the bounds or below: the same, and how far it has looked."""
        for class_id, priority, from_returned, first, upto in found:
            self._mark(self._pairs, (class_id, priority), from_returned)
            self._reaches[from_returned].note_late((class_id, priority), first, upto)

    def note_rumour(self, class_id: int, priority: int) -> bool:
        """Take in that a pair is said to have work in `ready`; False if its class is not known here."""
        if class_id not in self._known:
            return False
        if class_id not in self._classes:
            return True
        self._pairs.setdefault((class_id, priority), Pair(class_id, priority)).ready = True
        return True

    def next_pairs(self, queues: Sequence[str], memory_mb: int = 0) -> list[Pair]:
        """Return the pairs to claim from at once, none if there is nothing for a lane with these queues.

        The first queue of the chain that has work, there the most urgent priority; there the one that was served longest ago, and
        with it others that need the same of a subworker and are for the same lanes: what is claimed together moves together, so a job
        of which a lane of its own takes care must not be tied to others that this lane may not have.

        memory_mb is what the lane allows a job, in millions of bytes: pairs of higher memory classes are left to others.
        """
        for queue in queues:
            named = [pair for pair in self._pairs.values() if self._is_for(pair, queue, queues, memory_mb)]
            if named:
                priority = min(pair.priority for pair in named)
                chosen = [pair for pair in named if pair.priority == priority]
                need = self._need(chosen[0])
                return [pair for pair in chosen if self._need(pair) == need][:PAIRS_MAX]
        return []

    def note_claimed(self, pairs: Sequence[Pair], shares: Iterable[Share], *, each_max: int, jobs_max: int, returned_max: int) -> None:
        """Take in what a claim of these pairs brought: less than it could have means that nothing more is there, for now."""
        by_class = {share.class_id: share for share in shares}
        returned_all = sum(share.returned for share in by_class.values())
        full = returned_all + sum(share.fresh for share in by_class.values()) >= jobs_max
        nothing = Share(0, 0, 0, 0, 0)
        for pair in sorted(pairs, key=lambda pair: by_class.get(pair.class_id, nothing).jobs):
            key = (pair.class_id, pair.priority)
            share = by_class.get(pair.class_id, nothing)
            ready_drained = share.fresh < each_max and not full
            returned_drained = returned_max > 0 and share.returned < each_max and returned_all < returned_max
            ready_drained = self.ready.note_claimed(key, share.last_id, drained=ready_drained)
            returned_drained = self.returned.note_claimed(key, share.last_seq, drained=returned_drained)
            pair.ready = pair.ready and not ready_drained
            pair.returned = pair.returned and not returned_drained
            if not (pair.ready or pair.returned):
                self._pairs.pop(key, None)
            elif key in self._pairs and (share.fresh or share.returned):
                self._pairs[key] = self._pairs.pop(key)

    def _need(self, pair: Pair) -> tuple[str, int, frozenset[str]]:
        queue, runner, memory_mb = self._classes[pair.class_id]
        return runner, memory_mb, self._namers.get(queue, NOBODY)

    def _mark(self, pairs: dict[Key, Pair], key: Key, from_returned: bool) -> None:
        if key[0] not in self._classes:
            return
        pair = pairs.setdefault(key, Pair(*key))
        if from_returned:
            pair.returned = True
        else:
            pair.ready = True

    def _is_for(self, pair: Pair, queue: str, queues: Sequence[str], memory_mb: int) -> bool:
        of = self._classes.get(pair.class_id)
        if of is None or of[2] > memory_mb:
            return False
        return of[0] == queue or (queue == ANY_QUEUE and of[0] not in queues)


def _serves(lane: Lane, of: tuple[str, str, int]) -> bool:
    queues = lane.config.queues
    return (of[0] in queues or ANY_QUEUE in queues) and of[2] <= lane.memory_mb

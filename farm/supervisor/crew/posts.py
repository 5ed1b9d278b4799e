"""The places for subworkers in one lane, and who holds them. Main thread only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from farm.supervisor.crew.shortage import Shortage
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.generation import Generation, Phase

PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 5.0
EXTRA_MAX = 1
"""Of each lane so many subworkers that have lost their post, since they were told to end or run what they had begun, may still be
there beside its full crew: memory is shared out for that."""

SPARE_INDEX = 0xFFFF
"""In the names of spares' files, in the place of the number of a post: they keep those names when they have one."""


@dataclass(slots=True)
class Post:
    """One place for a subworker, or for a spare one. When one dies at once, its successor waits: longer each time."""

    index: int
    lane: Lane
    is_spare: bool = False
    generation: Generation | None = None
    pause_s: float = PAUSE_S_MIN
    fill_at: float = field(default=0.0)
    setup_failures: int = 0
    """How often one could not be set up here."""
    filled: int = 0
    """How often somebody got it."""
    emptied_why: str = ""
    """Why the last one has lost it, in words."""

    @property
    def serving(self) -> bool:
        return self.generation is not None and self.generation.phase is Phase.SERVING

    def fill(self, generation: Generation) -> None:
        """Give it to somebody."""
        self.generation = generation
        self.filled += 1

    @property
    def restarts(self) -> int:
        """How often it was filled anew."""
        return max(0, self.filled - 1)

    def pause(self, now: float) -> None:
        """Leave it empty for a while: what failed just now would fail again."""
        self.fill_at = now + self.pause_s
        self.pause_s = min(self.pause_s * 2, PAUSE_S_MAX)


class LanePosts:
    """As many posts as the lane has subworkers, and one for its spare: born and set up, without jobs."""

    def __init__(self, lane: Lane, indexes: Iterator[int]) -> None:
        """indexes: numbers of posts, no number twice."""
        self.lane = lane
        self._indexes = indexes
        self.posts = [Post(next(indexes), lane) for _ in range(lane.config.subworkers)]
        self.spare = Post(SPARE_INDEX, lane, is_spare=True)
        self.shortage = Shortage(lane.name, lane.config.subworkers)
        self.closed = False
        """Set when the lane is to go: nobody comes any more, not even as a spare."""
        self.settled = False
        """Nobody is missing, and nobody comes or goes: until that changes nobody need look."""

    @property
    def complete(self) -> bool:
        """True while nobody is missing."""
        return all(post.serving for post in self.posts)

    @property
    def present(self) -> int:
        """How many serve."""
        return sum(post.serving for post in self.posts)

    @property
    def ready_spare(self) -> Generation | None:
        """The spare, if it could take a post at once."""
        spare = self.spare.generation
        return spare if spare is not None and spare.phase is Phase.BORN and spare.ready else None

    @property
    def has_room(self) -> bool:
        """True while one more may lose its post and still be there."""
        going = [one for one in self.lane.astir if (one.leaving or one.phase is Phase.DOOMED) and one.phase is not Phase.DEAD]
        holders = [post.generation for post in self.posts] if going else []
        return sum(one not in holders for one in going) < EXTRA_MAX

    def post_of(self, generation: Generation) -> Post | None:
        """Return the post that one holds; none if a successor has it."""
        return next((post for post in (*self.posts, self.spare) if post.generation is generation), None)

    def resize(self, subworkers: int) -> list[Generation]:
        """Have so many posts from now on; returns those whose post is gone: where there is a choice, the least busy ones."""
        gone = sorted(self.posts, key=_burden)[: max(0, len(self.posts) - subworkers)]
        self.posts = [post for post in self.posts if post not in gone]
        self.posts += [Post(next(self._indexes), self.lane) for _ in range(subworkers - len(self.posts))]
        self.shortage.full = subworkers
        self.settled = False
        return [post.generation for post in gone if post.generation is not None]


def _burden(post: Post) -> tuple[int, int]:
    if post.generation is None or not post.serving:
        return 0, 0
    return 1 + post.generation.occupied, len(post.generation.handed)

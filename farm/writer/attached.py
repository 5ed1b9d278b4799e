"""The rings that a writer reads: all that are attached, and which of them it looks into, however many there are beside those."""

from __future__ import annotations

from collections.abc import Collection

from farm.writer.sources import Source


class Attached:
    """Modes of each: astir (it is read in every turn, and its producer wakes nobody), quiet (all of it was read when it was armed, so its
    producer wakes the writer; it stays so over turns that others bring about), broken (never read again)."""

    def __init__(self) -> None:
        self._all: dict[str, Source] = {}
        self._astir: dict[str, Source] = {}
        self._quiet: dict[str, Source] = {}

    @property
    def all(self) -> list[Source]:
        return list(self._all.values())

    @property
    def astir(self) -> Collection[Source]:
        """Those that are to be read."""
        return self._astir.values()

    def add(self, source: Source) -> None:
        """Read one from now on; by its name it can be taken away again."""
        self._all[source.name] = self._astir[source.name] = source

    def remove(self, name: str) -> None:
        """Let go of one; does nothing if there is none of that name."""
        source = self._all.pop(name, None)
        if source is not None:
            self._astir.pop(name, None)
            self._quiet.pop(name, None)
            source.close()

    def look(self, *, company: bool) -> None:
        """Find the quiet ones that have something to read. company: those too that will have, since their subworkers run something."""
        if company:
            found = [source for source in self._quiet.values() if source.busy]
        else:
            found = [source for source in self._quiet.values() if source.ring.unread]
        for source in found:
            source.ring.disarm()
            self._astir[source.name] = self._quiet.pop(source.name)

    def arm(self) -> bool:
        """Have the producer of every ring wake the writer; False if one has something to read first."""
        for name, source in list(self._astir.items()):
            if source.broken:
                del self._astir[name]
            elif source.ring.arm():
                self._quiet[name] = self._astir.pop(name)
        return not self._astir

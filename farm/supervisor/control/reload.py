"""Reads the configuration again and has a running farm go on by it: what can be refused is refused before anything has changed.

A job that runs is never touched: it ends in the subworker that it was started in. Whatever the file says, every subworker is replaced,
one after the other in each lane and the successor first, and they are forked by a new zygote: so a reload brings new code, too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from farm.config.changes import KEY_BYTES, How, as_data, changes, settings
from farm.config.model import Config
from farm.config.model import Lane as LaneConfig
from farm.errors import ConfigError, FarmError
from farm.shm.place import Place
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.host.room import check_machine, more_rings_bytes
from farm.supervisor.lanes.lane import LEAVING, Lane
from farm.supervisor.log.events import Event, event

ANEW = "every subworker is replaced by a new one, which loads the code as it is now"

log = logging.getLogger("farm")


class Reloader:
    """Knows the configuration that is in force. Main thread only."""

    def __init__(
        self,
        *,
        config: Config,
        load: Callable[[], Config] | None,
        mainstays: Mainstays,
        crew: Crew,
        place: Place,
        make_lane: Callable[[LaneConfig, int], Lane],
        adopt: Callable[[Config, Sequence[Lane]], None],
        begin: Callable[[], None],
        end: Callable[[], None],
        claim_for: Callable[[Sequence[str]], None],
    ) -> None:
        """load: reads the configuration again from where it came; None: it came from nowhere. make_lane: of its configuration and
        claim_max. adopt: has all else go by a configuration, with these lanes. claim_for: has jobs of these runners be claimed.
        begin, end: called around each reload, whatever comes of it."""
        self.config = config
        """What is in force."""
        self._load = load
        self._mainstays = mainstays
        self._crew = crew
        self._place = place
        self._make_lane = make_lane
        self._adopt = adopt
        self._begin, self._end = begin, end
        self._claim_for = claim_for
        self._runners_claimed = len(config.runners)

    def reload(self) -> list[str]:
        """Go on by the configuration as it stands in its file now; returns what has changed, in words, a line each.

        Raises ConfigError or another FarmError, and then nothing has changed. The outcome is logged either way.
        """
        self._begin()
        try:
            said = self._reload()
        except FarmError as error:
            for line in error.problems if isinstance(error, ConfigError) else [str(error)]:
                log.error("reload: %s", line)
            log.error("reload: nothing has changed; the farm goes on as before", extra=event(Event.RELOAD_REFUSED, why=str(error)))
            raise
        finally:
            self._end()
        for line in said[:-1]:
            log.info("reload: %s", line)
        # By itself, and not one of many that are alike: it is what whoever has asked for this waits for.
        log.info(f"reload: {ANEW}", extra=event(Event.RELOADED, changes=said[:-1]))
        return said

    def note_burials(self) -> None:
        """Have jobs of runners that were added be claimed, once nobody is left who has not got them: until then such a job could come to
        one that was forked before, and find no runner there."""
        known = self._crew.runners_known
        if known != self._runners_claimed:
            self._runners_claimed = known
            self._claim_for(list(self.config.runners)[:known])

    def as_data(self) -> dict[str, Any]:
        """Return what is in force, as data to be compared: see farm.config.changes. Secrets are digests under a key of this answer."""
        key = os.urandom(KEY_BYTES)
        return {"config": os.path.abspath(self.config.path), "key": key.hex(), "settings": as_data(settings(self.config, key=key))}

    def _reload(self) -> list[str]:
        if self._crew.closing:
            raise FarmError("the farm is draining: it takes no other configuration any more")
        if self._load is None:
            raise FarmError("this farm was not started from a configuration file")
        config = in_old_order(self.config, self._load())
        made = changes(settings(self.config), settings(config))
        if refused := [f"{change.name}: needs a restart" for change in made if change.how is How.RESTART]:
            raise ConfigError(refused)
        check_machine(config, beside=len(self._crew.generations))
        self._place.check_room(more_rings_bytes(self.config.lanes, config.lanes))
        try:
            self._mainstays.adopt(config)
        except OSError as error:
            raise FarmError(f"no new zygote can be made: {error.strerror or error}") from error
        self.config = config
        self._replace_crew(config)
        return [*map(str, made), ANEW]

    def _replace_crew(self, config: Config) -> None:
        crew = self._crew
        crew.births.adopt(runners=list(config.runners.items()), spill_bytes_max=config.spill_bytes_max)
        wanted = {lane.name: lane for lane in config.lanes}
        for lane in crew.lanes:
            if lane.name not in wanted:
                lane.hold(LEAVING)
                crew.remove_lane(lane.name)
        present = {lane.name: lane for lane in crew.lanes}
        lanes = []
        for name, lane_config in wanted.items():
            if name in present:
                # It may be on its way out since an earlier reload: then it stays.
                lane = present[name]
                lane.adopt(lane_config, claim_max=config.claim_max)
                lane.let_go(LEAVING)
                crew.keep_lane(name)
                crew.set_posts(name, lane_config.subworkers)
                crew.replace(name, "the configuration was read again")
            else:
                lane = self._make_lane(lane_config, config.claim_max)
                crew.add_lane(lane)
            lanes.append(lane)
        self._adopt(config, lanes)
        self.note_burials()


def in_old_order(old: Config, new: Config) -> Config:
    """Return a configuration with its runners in the order of the old one, new ones last: jobs that are claimed name theirs by position."""
    names = [*(name for name in old.runners if name in new.runners), *(name for name in new.runners if name not in old.runners)]
    return replace(new, runners={name: new.runners[name] for name in names})

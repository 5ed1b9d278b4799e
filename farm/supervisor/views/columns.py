"""What the farm tells a screen of each subworker, as a row: apart, since a screen is to start without all of the supervisor. Data only."""

from __future__ import annotations

COLUMNS = ("name", "number", "post", "pid", "phase", "limit_bytes", "unstarted", "uncommitted", "restarts", "restarted_why")
"""Of a subworker: the name of its generation file, the number of its generation; unstarted jobs stand in its ring, uncommitted ones have
ended; how often its post was filled anew, and why the last time."""

"""Everything that a farm's configuration comes from, kept together so that it can be read again while the farm runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from farm.config.model import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the command line named. The environment (FARM_DSN, FARM_LANES, variables of the file) is that of the process, as it started."""

    path: str
    """The file, as the user named it."""
    dsn: str | None = field(default=None, repr=False)
    """What --dsn said."""
    lanes: str | None = None
    """What --lanes said."""

    def load(self, *, environ: Mapping[str, str] | None = None) -> Config:
        """Read all of it, now as at the start. Raises ConfigError with everything that is wrong."""
        # Only here: the writer knows these dataclasses, and need not carry a YAML parser.
        from farm.config.loader import load

        return load(self.path, dsn=self.dsn, lanes=self.lanes, environ=environ)

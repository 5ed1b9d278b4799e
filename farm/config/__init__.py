"""The configuration of a farm: `load` reads a file into a Config, or says everything that is wrong with it."""

from farm.config.model import Config, Database, Host, Lane, WriterOptions

__all__ = ["Config", "Database", "Host", "Lane", "WriterOptions"]

"""The JSON Schema (2020-12) of a configuration, made of the declarations in keys.py: for editors, and for whoever writes files by program.

What a schema cannot say stays with the loader: whether a duration or size that is written with its unit is within bounds, relations
between keys, `*` as the last of a chain, and what a runner makes of its options.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import runners
from farm.config.keys import (
    CONFIG,
    OFF,
    ON,
    Address,
    Choice,
    Cpus,
    DatabaseChoice,
    Dsn,
    Duration,
    Flag,
    Functions,
    Group,
    Groups,
    Key,
    Name,
    Names,
    Patterns,
    Pause,
    Percent,
    Queues,
    RunnerOptions,
    Size,
    Variables,
    Whole,
)
from farm.config.section import ADDRESS_PATTERN
from farm.config.surroundings import VARIABLE_PATTERN
from farm.model import NAME_PATTERN
from farm.units import DURATION_PATTERN, RETRY_S_MAX, SIZE_PATTERN

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENVIRONMENT: Schema = {"$ref": "#/$defs/environment"}

DEFINITIONS: Schema = {
    "duration": {
        "description": "A duration with its unit, such as 250ms, 10s, 5m, 1h, 2d.",
        "type": "string",
        "pattern": f"^\\s*{DURATION_PATTERN}\\s*$",
        "maxLength": 64,
    },
    "pause": {
        "description": "How long to wait before another attempt: `10s` always, `1s to 10m` longer each time, up to that.",
        "type": "string",
        "pattern": f"^\\s*{DURATION_PATTERN}(\\s+to\\s+{DURATION_PATTERN})?\\s*$",
        "maxLength": 140,
    },
    "size": {
        "description": "A size with its unit, such as 512MB (millions of bytes) or 512MiB (2^20 bytes).",
        "type": "string",
        "pattern": f"^\\s*{SIZE_PATTERN}\\s*$",
        "maxLength": 64,
    },
    "name": {
        "description": "Up to 63 small letters, digits and _ . : - that begin with a letter or digit.",
        "type": "string",
        "pattern": f"^{NAME_PATTERN}$",
    },
    "function": {"description": "A function, such as myapp.pools:open.", "type": "string", "pattern": "^[^:\\s]+:[^:\\s]+$"},
    "dsn": {"description": "A PostgreSQL DSN, such as postgresql://user@host/database.", "type": "string", "pattern": "=|://"},
    "environment": {
        "description": "Text with environment variables in it: ${NAME} or ${NAME:-default}.",
        "type": "string",
        "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
    },
}


def json_schema() -> Schema:
    """Return the schema as JSON data."""
    return {"$schema": DIALECT, "title": "farm", **_schema(CONFIG), "$defs": DEFINITIONS}


def _schema(key: Key) -> Schema:
    schema = {"description": key.about, **_shape(key)}
    default = getattr(key, "default", None)
    return schema if default is None else {**schema, "default": default}


def _shape(key: Key) -> Schema:
    """Return what may stand under a key."""
    match key:
        case Whole(low=low, high=high, word=word):
            return _any({"type": "integer", "minimum": low, "maximum": high}, *_word(word), ENVIRONMENT)
        case Duration(low_s=low_s, high_s=high_s, word=word):
            number = {"type": "number", "minimum": low_s, "maximum": high_s}
            return _any({"$ref": "#/$defs/duration"}, number, *_word(word), ENVIRONMENT)
        case Pause():
            return _any({"$ref": "#/$defs/pause"}, {"type": "number", "minimum": 0, "maximum": RETRY_S_MAX}, ENVIRONMENT)
        case Names():
            return {"type": "array", "items": {"type": "string", "minLength": 1}}
        case Size(low_bytes=low_bytes, high_bytes=high_bytes, word=word, never=never):
            number = {"type": "number", "minimum": low_bytes, "maximum": high_bytes}
            return _any({"$ref": "#/$defs/size"}, number, *_word(word), *_word(never), ENVIRONMENT)
        case Percent(word=word):
            return _any({"type": "number", "minimum": 0, "maximum": 100}, *_word(word), ENVIRONMENT)
        case Functions():
            one = _any({"$ref": "#/$defs/function"}, ENVIRONMENT)
            return _any(*one["anyOf"], {"type": "array", "items": one, "minItems": 1, "uniqueItems": True})
        case Variables():
            names = {"pattern": f"^{VARIABLE_PATTERN}$"}
            return {"type": "object", "propertyNames": names, "additionalProperties": {"type": ["string", "number"]}}
        case Cpus():
            entry = _any({"type": "integer", "minimum": 0}, ENVIRONMENT)
            return {"type": "array", "items": entry, "minItems": 1, "uniqueItems": True}
        case Choice(words=words):
            booleans = [is_on for is_on, word in ((True, ON), (False, OFF)) if word in words]
            return _any({"enum": [*words, *booleans]}, ENVIRONMENT)
        case Flag():
            return _any({"type": "boolean"}, ENVIRONMENT)
        case Name():
            return _any({"$ref": "#/$defs/name"}, ENVIRONMENT)
        case Address():
            return _any({"type": "string", "pattern": ADDRESS_PATTERN}, ENVIRONMENT)
        case Dsn():
            return _any({"$ref": "#/$defs/dsn"}, ENVIRONMENT)
        case Queues():
            entry = _any({"$ref": "#/$defs/name"}, {"const": "*"}, ENVIRONMENT)
            return {"type": "array", "items": entry, "minItems": 1, "uniqueItems": True}
        case Group(keys=keys):
            return _mapping(keys)
        case Groups(keys=keys):
            names = {"$ref": "#/$defs/name"}
            return {"type": "object", "propertyNames": names, "additionalProperties": _mapping(keys), "minProperties": 1}
        case Patterns(keys=keys):
            return {"type": "object", "additionalProperties": _mapping(keys)}
        case DatabaseChoice(keys=keys):
            return _any({"const": "embedded"}, {"$ref": "#/$defs/dsn"}, ENVIRONMENT, _mapping(keys))
        case RunnerOptions():
            return {"type": "object", "properties": _runners(), "additionalProperties": False, "minProperties": 1}
    raise AssertionError(f"no schema for a {type(key).__name__}")


def _mapping(keys: Mapping[str, Key]) -> Schema:
    schema: Schema = {"type": "object", "properties": {name: _schema(key) for name, key in keys.items()}, "additionalProperties": False}
    required = [name for name, key in keys.items() if key.required]
    return {**schema, "required": required} if required else schema


def _runners() -> Schema:
    """Return the section of every runner, as the runner itself declares it."""
    sections = {}
    for name in sorted(runners.BUILTIN):
        options = {option: _or_environment(schema) for option, schema in runners.load(name).options.items()}
        sections[name] = {"type": "object", "properties": options, "additionalProperties": False}
    return sections


def _or_environment(schema: Mapping[str, Any]) -> Schema:
    """Let variables stand wherever a runner expects text of some shape."""
    if schema.get("type") == "array":
        return {**schema, "items": _or_environment(schema["items"])}
    return _any(dict(schema), ENVIRONMENT) if "pattern" in schema else dict(schema)


def _word(word: str | None) -> list[Schema]:
    return [] if word is None else [{"const": word}]


def _any(*choices: Schema) -> Schema:
    return {"anyOf": list(choices)}

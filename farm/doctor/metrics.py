"""Looks at the address of the pages for monitoring: whether it is to be had, and who can reach it."""

from __future__ import annotations

import http.client
import ipaddress
import re
import urllib.request
from contextlib import closing
from pathlib import Path

from farm import control
from farm.config.model import Metrics
from farm.doctor.finding import Finding, could_be_better, ok, wrong
from farm.errors import FarmError
from farm.metrics.server import bind

CHECK = "metrics"
ANSWER_S = 3.0
PAGE_BYTES_MAX = 1 << 16
"""Who it is stands on the first lines."""
_FARM = re.compile(rb'^farm_info\{farm="([^"]+)"', re.MULTILINE)


def examine_metrics(options: Metrics, home: Path, instance: str) -> Finding:
    """Say whether the farm `instance` below this FARM_HOME can listen there, or does; and whether others can reach it."""
    where = f"{options.host}, port {options.port}"
    try:
        with closing(bind(options.host, options.port, listens=False)) as bound:
            address = str(bound.getsockname()[0])
            text = f"{options.host}, any port that is free" if options.port == 0 else f"{where}: it is free"
    except FarmError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        holder = _farm_at(options)
        if holder != instance or not _runs(home, instance):
            return _taken(where, error.__cause__, holder)
        address, text = options.host, f"{where}: this farm, which runs, listens there"
    if not _is_loopback(address):
        advice = "without a password: metrics.host: 127.0.0.1, unless something in front of it sees to who may ask"
        return could_be_better(CHECK, f"{text}; whoever reaches this machine there can read it", advice)
    return ok(CHECK, text)


def _taken(where: str, error: OSError, holder: str) -> Finding:
    if holder:
        return wrong(CHECK, f"{where}: another farm, {holder}, listens there", "give each farm a metrics.port of its own")
    advice = "set metrics.host and metrics.port to an address of this machine and a free port; `ss -ltnp` says who listens where"
    return wrong(CHECK, f"{where}: {error.strerror}", advice)


def _farm_at(options: Metrics) -> str:
    """Return the instance of the farm that answers there, "" if none does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{options.port}/metrics"
    try:
        # Whatever the environment says of proxies: it is this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=ANSWER_S) as answer:
            found = _FARM.search(answer.read(PAGE_BYTES_MAX))
    except (OSError, ValueError, http.client.HTTPException):
        return ""
    return "" if found is None else found[1].decode("utf-8", "replace")


def _runs(home: Path, instance: str) -> bool:
    connection = control.find(home, instance)
    if connection is not None:
        connection.close()
    return connection is not None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"

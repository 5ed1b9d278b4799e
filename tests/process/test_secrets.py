"""The password of the database stays with the supervisor and the writer, whichever way it came."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from tests.process.conftest import MakeFarm
from tests.process.ledger import Ledger

PASSWORD = "s3cret-" + os.urandom(12).hex()
CHUNK_BYTES = 16 << 20
NOBODY = 65534
AS_NOBODY = (
    ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    if os.geteuid() == 0
    else ()
)
"""Root's processes tell nothing of what others may see of them; nobody's do, and still read files wherever this clone stands."""


def memory_of(pid: int) -> Iterator[bytes]:
    """Read all memory of a process that can be read, in pieces that overlap by the length of the password."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if match is None or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            at, end = int(match[1], 16), int(match[2], 16)
            while at < end:
                try:
                    memory.seek(at)
                    yield memory.read(min(CHUNK_BYTES, end - at) + len(PASSWORD))
                except OSError:
                    break
                at += CHUNK_BYTES


def knows(pid: int, secret: bytes) -> bool:
    return any(secret in piece for piece in memory_of(pid))


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of the sockets that a process has open."""
    targets = (os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    return {target for target in targets if target.startswith("socket:")}


@pytest.fixture
def secret_dsn(dsn: str) -> str:
    # The server trusts everybody, so any password opens it.
    return make_conninfo(dsn, password=PASSWORD)


@pytest.mark.parametrize("way", ["environment", "argument", "file"])
def test_password(make_farm: MakeFarm, ledger: Ledger, secret_dsn: str, way: str) -> None:
    """Zygote and subworkers have the password neither in their environment, arguments or memory, nor a connection; nor has the log."""
    farm = make_farm(dsn=secret_dsn if way == "file" else None)
    if way == "argument":
        farm.start("--dsn", secret_dsn)
    elif way == "environment":
        farm.start(FARM_DSN=secret_dsn, PGPASSWORD=PASSWORD)
    else:
        farm.start()
    ledger.result(ledger.enqueue("who"))
    secret = PASSWORD.encode()
    supervisor_sockets = sockets_of(farm.pid)
    assert len(supervisor_sockets) > 2
    assert knows(farm.pid, secret), "a look that finds it where it is"
    assert knows(farm.writer(), secret)
    for pid in (farm.zygote(), *farm.subworkers()):
        for name in ("environ", "cmdline"):
            assert secret not in Path(f"/proc/{pid}/{name}").read_bytes()
        assert not knows(pid, secret), pid
        assert len(sockets_of(pid)) <= 1, "a zygote has its control socket, a subworker none"
    assert all(len(sockets_of(pid)) == 0 for pid in farm.subworkers())
    assert secret not in Path(f"/proc/{farm.writer()}/cmdline").read_bytes()
    assert secret not in Path(f"/proc/{farm.writer()}/environ").read_bytes()
    farm.stop()
    assert PASSWORD not in farm.whole_log


@pytest.mark.skipif(bool(AS_NOBODY) and shutil.which("setpriv") is None, reason="setpriv is missing")
def test_not_dumpable(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Supervisor and writer are closed to other processes of their user; zygote and subworkers know nothing worth closing."""
    farm = make_farm(wrapper=AS_NOBODY)
    farm.start()
    ledger.result(ledger.enqueue("who"))
    owners = {pid: Path(f"/proc/{pid}/environ").stat().st_uid for pid in (farm.pid, farm.writer(), farm.zygote(), *farm.subworkers())}
    assert owners.pop(farm.pid) == 0, "what /proc shows of a process that is not dumpable belongs to root"
    assert owners.pop(farm.writer()) == 0
    assert set(owners.values()) == {NOBODY if AS_NOBODY else os.geteuid()}
    farm.stop()

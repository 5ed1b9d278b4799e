"""The wall clock of a host jumps: nothing starts early, nobody is declared dead, and no time that is stored is the host's."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

import farm
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_of

HOUR_S, DAY_S = 3600, 86400
WALL = re.compile(r"\btime\.(time|time_ns|localtime|gmtime|strftime)\(|CLOCK_REALTIME|datetime\.(now|utcnow|today)\(")
"""Whoever asks for the time of day."""
MAY_ASK = {
    "supervisor/log/logs.py": "the lines of the log",
    "embedded/keeper.py": "the lines of its log",
    "supervisor/boot.py": "the name of a run, by which runs are taken over in order",
    "supervisor/views/exposition.py": "when it was started, as monitoring wants to have it",
    "subworker/output.py": "the lines that jobs log",
    "screen/source.py": "the clock in the corner",
    "screen/hosts.py": "the same",
    "doctor/server.py": "how far it is from the database's",
}


def test_nobody_asks_for_the_time_of_day() -> None:
    """Leases, gates, deadlines and pauses go by clocks that cannot be set; what is stored goes by the database's."""
    root = Path(farm.__file__).parent
    asking = {str(path.relative_to(root)) for path in root.rglob("*.py") if WALL.search(path.read_text())}
    assert asking == set(MAY_ASK)


@pytest.mark.skipif(shutil.which("cc") is None, reason="a clock can be shifted for one process only with a C compiler: 1 test less")
@pytest.mark.timeout(90)
def test_a_clock_that_jumps(make_farm: MakeFarm, farm_home: Path, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """An hour forward, then a day back, on one of two hosts that work, retry and wait for jobs due later."""
    library, shift = tmp_path / "clock.so", tmp_path / "shift"
    source = Path(__file__).with_name("shifted_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    shift.write_bytes(struct.pack("q", 0))

    def set_clock(seconds: int) -> None:
        with shift.open("r+b") as file:
            file.write(struct.pack("q", seconds))

    wrong = make_farm(name="wrong").start(LD_PRELOAD=str(library), FARM_TEST_CLOCK=str(shift))
    right = make_farm(name="right", home=farm_home / "right").start()
    hosts = ledger.live_hosts()
    assert len(hosts) == 2
    due = ledger.enqueue_all([("who", ())] * 20, delay_s=2.0)
    marks = ledger.enqueue_marks(600, effects, seconds=0.005)
    for seconds in (HOUR_S + 1800, -DAY_S, 0, 7 * DAY_S):
        set_clock(seconds)
        at = time.monotonic()
        # Longer than a look of the other's reaper, and several beats.
        wait_for(lambda at=at: time.monotonic() > at + 0.5, "some beats")  # type: ignore[misc]
    wait_for(lambda: ledger.settled() == len(due) + len(marks), f"all results\n{wrong.log}\n{right.log}")
    set_clock(HOUR_S * 5)
    wrong.stop()
    right.stop()
    shown = [datetime.strptime(wrong.log_lines(word)[0][:8], "%H:%M:%S").hour for word in ("ready", "draining")]
    assert (shown[1] - shown[0]) % 24 in (5, 6), "the clock was really shifted"
    assert [row.id for row in ledger.query("SELECT id FROM farm.host ORDER BY id")] == hosts, "nobody was declared dead"
    assert effects_of(effects) == dict.fromkeys(marks, 1)
    rows = ledger.query(
        "SELECT max(abs(extract(epoch FROM now() - finished_at))) AS off, min(finished_at - started_at) AS took FROM farm.result"
    )
    assert rows[0].off < 120
    assert rows[0].took.total_seconds() >= 0
    created = "SELECT count(*) AS n FROM farm.result AS r JOIN farm.job AS j ON j.id = r.job_id WHERE r.job_id = ANY(%s) AND {}"
    early = created.format("r.started_at < (SELECT min(b.created_at) FROM farm.job AS b WHERE b.id = ANY(%s)) + interval '1.99 s'")
    assert ledger.query(early, due, due)[0].n == 0
    ledger.check_all_ended()

"""One farm, asked everything: why jobs wait, what its queues do, whether something is wrong; and told what to do, answering in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left
from tests.process.test_control import Told

LANES = {"slow": {"queues": ["first", "slow"], "subworkers": 1}, "rest": {"queues": ["rest"], "subworkers": 1}}


def test_a_farm_that_runs_answers(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path, dsn: str) -> None:
    farm, hold = make_farm(lanes=LANES, name="live"), tmp_path / "hold"
    hold.touch()

    def ask(*arguments: str) -> Any:
        return json.loads("\n".join(Told(*arguments, "--json").out))

    def code_of(job_id: int) -> str:
        return str(ask("why", str(job_id), "--dsn", dsn)["code"])

    running = ledger.enqueue("mark_until", (str(effects), 0, str(hold)), queue="slow")
    farm.start()
    wait_for(lambda: effects_left(effects), "the start of the long one")
    wait_for(lambda: code_of(running) == "running", "a heartbeat that tells of it")
    host_id = ledger.query("SELECT host_id AS id FROM farm.heartbeat WHERE state = 'live'")[0].id

    waiting = ledger.enqueue("mark", (str(effects), 1), queue="slow")
    wait_for(lambda: code_of(waiting) in ("claimed", "lane_full"), "its turn to wait")
    said = ask("why", str(waiting), "--dsn", dsn)["why"]
    assert "1 x chores:mark_until for up to" in said
    status = ask("status", "--dsn", dsn)
    assert {name: lane["state"]["running"] for name, lane in status["hosts"][0]["lanes"].items()} == {"slow": 1, "rest": 0}

    (paused,) = ask("pause", "--queue", "rest")
    assert paused == {"host": None, "instance": "live", "ok": True, "said": ["queue rest is paused"], "error": None}
    (again,) = ask("pause", "rest", "--host", str(host_id), "--dsn", dsn)
    assert (again["host"], again["ok"]) == (host_id, True)
    kept = ledger.enqueue("mark", (str(effects), 2), queue="rest")
    wait_for(lambda: code_of(kept) == "queue_paused", "a heartbeat that tells of the pause")
    assert ask("why", str(kept), "--dsn", dsn)["try"] == f"farm resume --queue rest --host {host_id}"
    queues = {queue["queue"]: queue for queue in ask("queues", "--dsn", dsn)}
    assert queues.keys() == {"first", "slow", "rest"}
    assert (queues["rest"]["ready"], queues["rest"]["paused_on"]) == (1, [host_id])
    assert [lane["lane"] for lane in queues["slow"]["lanes"]] == ["slow"]
    alarm = ("status", "--fail-if", "hosts<1, missing>0, beat>1m, paused>0", "--quiet", "--dsn", dsn)
    wait_for(lambda: Told(*alarm).err == ["farm: paused>0: it is 2"], "a heartbeat that tells of both pauses")
    assert Told(*alarm).code == 1

    checks = {finding["check"]: finding["level"] for finding in ask("doctor", str(farm.config))}
    assert {checks[name] for name in ("schema", "pooler", "open files", "connections")} == {"ok"}

    (resumed,) = ask("resume")
    assert resumed["said"] == ["resumed: lane rest, queue rest"]
    wait_for(lambda: code_of(kept) == "succeeded", "what had waited")
    hold.unlink()
    wait_for(lambda: code_of(waiting) == "succeeded", "what had waited for a slot")
    assert ask("reload")[0]["ok"] is True
    (drained,) = ask("drain")
    assert (drained["ok"], drained["left"], drained["exit_code"]) == (True, True, 0)
    assert farm.wait() == 0

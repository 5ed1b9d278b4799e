"""Reading the configuration again: nothing that runs is touched, nothing is lost, and what is wrong changes nothing."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from farm.cli.main import main
from farm.control import find
from tests.process.conftest import MakeFarm
from tests.process.crew import is_alive, wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.running import TASKS, RunningFarm

SEED = 5


def change(farm: RunningFarm, **options: Any) -> None:
    """Write other options into the file of a farm."""
    settings = yaml.safe_load(farm.config.read_text())
    farm.config.write_text(yaml.safe_dump({**settings, **options}, sort_keys=False))


def reload(farm: RunningFarm, *, wrong: bool = False) -> str:
    """Have a farm read its file again, by a signal; returns what its log says of it."""
    before = len(farm.log)
    farm.signal(signal.SIGHUP)
    last = "nothing has changed; the farm goes on" if wrong else "every subworker is replaced"
    wait_for(lambda: last in farm.log[before:], f"{last!r} in the log:\n{farm.log[before:]}")
    return farm.log[before:]


def ask(farm: RunningFarm, do: str) -> dict[str, Any]:
    """Ask a farm through its control socket."""
    connection = find(farm.home, farm.name)
    assert connection is not None
    with connection:
        return connection.ask(do)


def test_lanes_come_and_go(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """A job that runs ends in its old subworker, whatever becomes of its lane; what had not started runs elsewhere, no attempt used."""
    hold = tmp_path / "hold"
    hold.touch()
    lane = {"queues": ["a"], "subworkers": 1, "memory": "64MB"}
    farm = make_farm(lanes={"old": lane, "other": {**lane, "queues": ["b"]}})
    running = ledger.enqueue("mark_both_ends", (str(effects), 1, str(hold)), queue="a")
    farm.start()
    wait_for(lambda: effects_left(effects), "the start of the job")
    behind = [ledger.enqueue("who", queue="a") for _ in range(5)]
    (pid,) = [int(line.split()[1]) for line in effects.read_text().splitlines()]
    change(farm, lanes={"new": {**lane, "subworkers": 2}, "other": {**lane, "queues": ["c", "b"], "memory": "80MB"}})
    said = reload(farm)
    assert "lanes.old: removed" in said
    assert "lanes.new: added: queues a, subworkers 2" in said
    assert "lanes.other.queues: b -> c > b" in said
    assert "lanes.other.memory: 64 MB -> 80 MB (in new subworkers)" in said
    wait_for(lambda: set(ledger.query("SELECT lanes FROM farm.host")[0].lanes) == {"new", "other"}, "the new lanes in the host's row")
    # The one that runs holds nobody up, and is there for as long as it likes.
    ended = [ledger.result(job_id) for job_id in (*behind, ledger.enqueue("who", queue="c"))]
    assert {(row.status, row.attempt) for row in ended} == {(1, 1)}
    assert is_alive(pid)
    hold.unlink()
    result = ledger.result(running)
    assert (result.status, result.attempt, result.value) == (1, 1, pid)
    wait_for(lambda: not is_alive(pid), "the end of the last subworker of the old lane")
    wait_for(lambda: [lane["name"] for lane in ask(farm, "status")["lanes"]] == ["other", "new"], "the end of the old lane")
    farm.stop()
    ledger.check_all_ended()


def test_a_lane_that_has_nobody_left_keeps_no_job(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Its subworkers have died and none can be set up: what it holds goes back when a reload removes it, and runs elsewhere."""
    code, hold = tmp_path / "code", tmp_path / "hold"
    code.mkdir()
    hold.touch()
    module = code / "opening.py"
    module.write_text("def go():\n    pass\n")
    lane = {"queues": ["a"], "subworkers": 1, "memory": "64MB"}
    runners = {"python": {"allow": ["chores:*"], "path": [str(code), str(TASKS)]}}
    farm = make_farm(lanes={"old": {**lane, "setup": "opening:go"}, "other": {**lane, "queues": ["b"]}}, runners=runners).start()
    wait_for(lambda: len(farm.spares()) == 2, "the spares")
    jobs = [ledger.enqueue("mark_both_ends", (str(effects), number, str(hold)), queue="a") for number in range(4)]
    module.write_text("def go():\n    raise ValueError('not now')\n")
    for started in (1, 2):
        wait_for(lambda started=started: effects_left(effects) == started, "the start of a job")  # type: ignore[misc]
        os.kill(int(effects.read_text().split()[-1]), signal.SIGKILL)
    wait_for(lambda: not ask(farm, "status")["lanes"][0]["crew"], "the burial of the last one")
    assert ask(farm, "status")["lanes"][0]["held"]
    hold.unlink()
    change(farm, lanes={"new": lane, "other": {**lane, "queues": ["b"]}})
    reload(farm)
    assert {ledger.result(job_id).status for job_id in jobs} == {1}
    farm.stop()
    ledger.check_all_ended()


def test_what_is_wrong_changes_nothing(make_farm: MakeFarm, ledger: Ledger) -> None:
    """No YAML, what the machine cannot do, what needs a restart: each is refused with its reason, and the same subworkers go on."""
    farm = make_farm(subworkers=1).start()
    before, good = farm.subworkers(), farm.config.read_text()
    in_force = ask(farm, "config")
    farm.config.write_text("lanes: {default: {queues: ['*'")
    assert f"{farm.config}:2:" in reload(farm, wrong=True)
    farm.config.write_text(good)
    change(farm, lanes={"default": {"queues": ["*"], "subworkers": 2, "memory": "900TB"}})
    assert "lanes.default.memory: " in reload(farm, wrong=True)
    change(farm, lanes={"default": {"queues": ["*"], "subworkers": 2}}, lease="3s", database=f"{ledger.dsn} application_name=other")
    said = reload(farm, wrong=True)
    assert "database.dsn: needs a restart" in said
    assert "lease: needs a restart" in said
    assert ledger.result(ledger.enqueue("who")).value in before
    assert farm.subworkers() == before
    assert {tuple(path) for path, *_ in ask(farm, "config")["settings"]} == {tuple(path) for path, *_ in in_force["settings"]}
    farm.config.write_text(good)
    assert "reload: every subworker is replaced" in reload(farm)
    assert ledger.dsn not in farm.log
    farm.stop()


def test_plan(make_farm: MakeFarm, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan says what a reload would do, and what would stop it; of secrets only that they are others. A reload then does it."""
    farm = make_farm(subworkers=1, lanes={"default": {"queues": ["*"], "subworkers": 1, "env": {"TOKEN": "hunter2"}}})
    assert main(["plan", str(farm.config)]) == 0
    assert "no farm runs as 'test'; it would start with:" in capsys.readouterr().out
    farm.start()
    assert main(["plan", str(farm.config)]) == 0
    assert "nothing would change for the farm 'test'\n" in capsys.readouterr().out
    change(farm, lanes={"default": {"queues": ["*"], "subworkers": 2, "env": {"TOKEN": "hunter3"}}})
    assert main(["plan", str(farm.config)]) == 0
    planned = capsys.readouterr().out
    lines = ["lanes.default.env.TOKEN: changed (in new subworkers)", "lanes.default.subworkers: 1 -> 2"]
    assert f"the farm 'test' would change:\n  {lines[0]}\n  {lines[1]}\na reload replaces every subworker as well\nmemory of " in planned
    assert "hunter" not in planned + str(ask(farm, "config"))
    assert main(["reload", "--instance", "test"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == lines
    farm.all_subworkers(2)
    change(farm, lease="3s")
    assert main(["plan", str(farm.config), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["running"], plan["refused"], [change["key"] for change in plan["changes"]]) == (True, True, ["lease"])
    assert main(["reload", "--instance", "test"]) == 2
    assert "lease: needs a restart" in capsys.readouterr().err
    assert main(["plan", str(farm.config), "--dsn", f"{ledger.dsn} application_name=mine"]) == 0
    assert "a reload keeps to the --dsn or FARM_DSN that the farm was started with" in capsys.readouterr().out
    farm.config.write_text("lanes: [")
    assert main(["plan", str(farm.config)]) == 2
    farm.stop()


def test_new_code(make_farm: MakeFarm, ledger: Ledger, tmp_path: Path) -> None:
    """A reload brings new code and other options of runners and writer; code that cannot be loaded leaves the old subworkers at work."""
    code = tmp_path / "code"
    code.mkdir()
    module = code / "shifting.py"
    module.write_text("def answer():\n    return 'old'\n")
    lanes = {"default": {"queues": ["*"], "subworkers": 2, "setup": "shifting:answer"}}
    farm = make_farm(runners={"python": {"allow": ["shifting:answer"], "path": [str(code)]}}, lanes=lanes).start()
    zygote = farm.zygote()
    assert ledger.result(ledger.enqueue("shifting:answer")).value == "old"
    module.write_text("def answer():\n    return 'newest'\n")
    change(farm, writer={"batch_max": 7}, tasks={"*": {"max_attempts": 1, "timeout": "5s"}})
    said = reload(farm)
    assert "writer.batch_max: 4000 -> 7" in said
    assert "tasks.*.max_attempts: none -> 1" in said
    wait_for(lambda: ledger.result(ledger.enqueue("shifting:answer")).value == "newest", "the new code")
    wait_for(lambda: not is_alive(zygote), "the end of the old zygote")
    module.write_text("raise RuntimeError('half of it is missing')\n")
    reload(farm)
    farm.wait_log("default has no spare subworker: .*half of it is missing")
    assert ledger.result(ledger.enqueue("shifting:answer")).value == "newest"
    module.write_text("def answer():\n    return 'mended'\n")
    wait_for(lambda: ledger.result(ledger.enqueue("shifting:answer")).value == "mended", "the mended code")
    # The new policy holds in the writer: no second attempt.
    assert ledger.result(ledger.enqueue("shifting:missing")).status == 2
    farm.stop()


def test_random_reloads(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """Under load, one reload after the other, faster than subworkers are replaced: every job runs once and succeeds."""
    draw = random.Random(SEED)
    jobs = 3000
    farm = make_farm(subworkers=2).start()
    ledger.enqueue_marks(jobs, effects, seconds=0.001)
    good = farm.config.read_text()
    for _ in range(10):
        farm.config.write_text(good)
        names = draw.sample(["default", "second", "third"], draw.randint(1, 3))
        lanes = {
            name: {
                "queues": ["*"] if name == "default" else [name, "*"],
                "subworkers": draw.randint(1, 3),
                "concurrency": draw.choice([1, 1, 4]),
                "memory": f"{draw.randint(50, 90)}MB",
            }
            for name in names
        }
        if wrong := draw.random() < 0.3:
            lanes["default"] = {"queues": ["*"], "subworkers": 0}
        change(farm, lanes=lanes, writer={"batch_max": draw.randint(1, 4000)}, claim_max=draw.randint(10, 4000))
        reload(farm, wrong=wrong)
    wait_for(lambda: ledger.settled() == jobs, "all results")
    assert effects_of(effects) == Counter(range(1, jobs + 1))
    assert {(row.status, row.attempt) for row in ledger.results().values()} == {(1, 1)}
    farm.stop()
    ledger.check_all_ended()

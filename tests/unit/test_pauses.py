"""What is paused, in words and in a file that outlives the farm; and what may be asked of a farm that runs."""

from __future__ import annotations

import json
import logging
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from farm.config.model import Lane as LaneConfig
from farm.errors import FarmError, StoreUnavailable
from farm.model import HostRequest
from farm.supervisor.control.commands import CHARACTERS_MAX, Commands
from farm.supervisor.control.pauses import FILE_NAME, Pauses
from farm.supervisor.control.postbox import AT_ONCE_MAX, Postbox
from farm.supervisor.crew.crew import Crew
from farm.supervisor.lanes.lane import LEAVING, PAUSED, SHORT_OF_MEMORY, Lane
from farm.supervisor.lanes.witness import Witness


class Host:
    """Lanes without subworkers; notes which queues are not claimed and not started."""

    def __init__(self, directory: Path, **chains: str) -> None:
        self.directory = directory
        self.log: list[str] = []
        self.set_lanes(**chains)
        crew = cast(Crew, self)
        self.claimer = SimpleNamespace(pause_queues=lambda queues: self.log.append(f"not claimed: {_told(queues)}"))
        self.pauses = Pauses(directory, crew=crew, handover=self, claimer=self.claimer, wake=lambda: self.log.append("wake"))

    def set_lanes(self, **chains: str) -> None:
        witness = Witness(hurry=lambda: None, wake=lambda: None)
        configs = [LaneConfig(name=name, queues=(chain,), subworkers=1, concurrency=1, memory_bytes=1) for name, chain in chains.items()]
        self.lanes = [Lane(config, claim_max=100, witness=witness) for config in configs]

    def pause_queues(self, queues: frozenset[str]) -> None:
        self.log.append(f"not started: {_told(queues)}")

    def step(self, now: float) -> float:
        self.log.append(f"taken back: {_told(self.held)}")
        return 0.0

    @property
    def held(self) -> list[str]:
        return [lane.name for lane in self.lanes if PAUSED in lane.held_by]

    @property
    def kept(self) -> Any:
        return json.loads((self.directory / FILE_NAME).read_text())


def _told(names: Sequence[str] | frozenset[str]) -> str:
    return " ".join(sorted(names))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, fast="web", default="mail", heavy="reports")


def test_lanes_are_paused_and_go_on_and_each_may_be_said_twice(host: Host) -> None:
    assert host.pauses.pause(["heavy", "fast", "fast"], []) == ["lane fast is paused", "lane heavy is paused"]
    assert host.held == ["fast", "heavy"]
    assert host.log == ["not claimed: ", "not started: ", "taken back: fast heavy", "wake"], "in this order"
    assert host.pauses.pause(["fast"], []) == ["lane fast is paused already"]
    assert host.kept == {"lanes": ["fast", "heavy"], "queues": [], "every_lane": False}
    assert host.pauses.resume(["fast", "default"], []) == ["lane default was not paused", "lane fast goes on"]
    assert host.held == ["heavy"]
    assert host.pauses.resume([], []) == ["resumed: lane heavy"]
    assert host.pauses.resume([], []) == ["nothing was paused"]
    assert host.held == []
    assert host.kept == {"lanes": [], "queues": [], "every_lane": False}


def test_queues(host: Host) -> None:
    assert host.pauses.pause([], ["mail", "elsewhere"]) == [
        "queue elsewhere is paused, though no lane here serves it",
        "queue mail is paused",
    ]
    assert host.log == ["not claimed: elsewhere mail", "not started: elsewhere mail", "taken back: ", "wake"]
    assert host.pauses.pause(["fast"], ["mail"]) == ["lane fast is paused", "queue mail is paused already"]
    assert host.pauses.told() == "lane fast, queue elsewhere, queue mail"
    assert host.pauses.resume([], ["mail", "other"]) == ["queue mail goes on", "queue other was not paused"]
    assert host.held == ["fast"]
    assert host.pauses.as_data() == host.kept == {"lanes": ["fast"], "queues": ["elsewhere"], "every_lane": False}


def test_every_lane(host: Host) -> None:
    """Also those of a later configuration; one that is let go leaves the others as they are."""
    assert host.pauses.pause([], [], every_lane=True) == [f"lane {name} is paused" for name in ("fast", "default", "heavy")]
    host.set_lanes(fast="web", new="more")
    host.pauses.lanes_changed()
    assert host.held == ["fast", "new"]
    assert host.pauses.resume([], ["mail"]) == ["queue mail was not paused"]
    assert host.held == ["fast", "new"]
    assert host.pauses.resume(["fast"], []) == ["lane fast goes on"]
    assert host.held == ["new"]
    host.set_lanes(new="more", newer="all")
    host.pauses.lanes_changed()
    assert host.held == ["new"]


def test_a_lane_that_leaves_is_forgotten_at_once(host: Host) -> None:
    """It is still there for as long as its jobs run."""
    host.pauses.pause(["fast", "heavy"], [])
    host.lanes[0].hold(LEAVING)
    host.pauses.lanes_changed()
    assert host.kept["lanes"] == ["heavy"]
    with pytest.raises(FarmError, match="there is no lane 'fast'"):
        host.pauses.pause(["fast"], [])


def test_other_reasons_to_hold_a_lane_stay(host: Host) -> None:
    host.lanes[0].hold(SHORT_OF_MEMORY)
    host.pauses.pause(["fast"], [])
    host.pauses.resume([], [])
    assert host.lanes[0].held_by == {SHORT_OF_MEMORY}


@pytest.mark.parametrize(
    ("lanes", "queues", "message"),
    [
        (["fast", "heawy"], [], "there is no lane 'heawy'; did you mean 'heavy'? (lanes: fast, default, heavy)"),
        (["mail"], [], "there is no lane 'mail'; a queue is paused with --queue mail (lanes: fast, default, heavy)"),
        ([], ["Not A Queue"], "'Not A Queue' is no queue's name"),
        ([], [f"q{number}" for number in range(1001)], "1,001 queues would be paused; at most 1,000 can be"),
    ],
)
def test_what_cannot_be_paused_is_said_and_nothing_is_done(host: Host, lanes: list[str], queues: list[str], message: str) -> None:
    with pytest.raises(FarmError) as raised:
        host.pauses.pause(lanes, queues)
    assert str(raised.value) == message
    assert host.held == host.log == []
    assert not (host.directory / FILE_NAME).exists()


def test_what_cannot_be_kept_is_not_done(host: Host) -> None:
    (host.directory / FILE_NAME).mkdir()
    with pytest.raises(FarmError, match="cannot write"):
        host.pauses.pause(["fast"], [])
    assert host.held == []


def test_on_a_full_disk_what_was_paused_stays_as_it_was(host: Host) -> None:
    host.pauses.pause(["fast"], [])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The next file is longer: its first part would be taken without an error.
    resource.setrlimit(resource.RLIMIT_FSIZE, ((host.directory / FILE_NAME).stat().st_size, hard))
    try:
        with pytest.raises(FarmError, match="cannot write"):
            host.pauses.pause(["heavy"], ["mail"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (host.held, host.kept["lanes"]) == (["fast"], ["fast"])


def test_pauses_outlive_the_farm(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.pauses.pause(["fast", "heavy"], ["mail"])
    later = Host(host.directory, fast="web", default="mail")
    later.pauses.restore()
    assert later.held == ["fast"]
    assert later.log[0] == "not claimed: mail"
    assert [record.getMessage() for record in caplog.records] == [
        "lane heavy was paused, and is not in the configuration any more: forgotten",
        "paused since before this start: lane fast, queue mail; `farm resume` lets them go on",
    ]
    assert {path.name for path in host.directory.iterdir()} == {FILE_NAME}, "no draft stays"


def test_one_who_never_paused_anything_starts_in_silence(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.pauses.restore()
    assert host.held == []
    assert not caplog.records


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"lanes": "fast", "queues": []}', '{"lanes": [1], "queues": []}', "{}"])
def test_a_file_that_makes_no_sense_pauses_nothing_and_says_so(host: Host, content: str, caplog: pytest.LogCaptureFixture) -> None:
    (host.directory / FILE_NAME).write_text(content)
    host.pauses.restore()
    assert host.held == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert host.pauses.pause(["fast"], []) == ["lane fast is paused"], "the next one is written over it"


class Farm:
    """What commands are performed on."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.drains: list[bool] = []
        self.problem = ""
        self.commands = Commands(
            pauses=host.pauses,
            drain=self.drain,
            reloader=self,
            snapshot=lambda: {"pid": 7},
            config=lambda: {"lanes": {}},
            screen=lambda: {"up_s": 1.5},
            tasks=lambda of: {"tasks": of},
        )

    def drain(self, hurry: bool) -> tuple[float, list[str]]:
        self.drains.append(hurry)
        return 12.5, ["draining"]

    def reload(self) -> list[str]:
        if self.problem == "a bug":
            raise KeyError("x")
        if self.problem:
            raise FarmError(self.problem)
        return ["lane fast: 2 subworkers, before 1"]

    def ask(self, do: object, **arguments: Any) -> dict[str, Any]:
        return self.commands.perform({"do": do, **arguments}, "ada, pid 5")


@pytest.fixture
def farm(host: Host) -> Farm:
    return Farm(host)


def test_commands_say_what_they_did_and_the_log_says_for_whom(farm: Farm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="farm")
    assert farm.ask("pause", lanes=["fast"], queues=["mail"]) == {"ok": True, "said": ["lane fast is paused", "queue mail is paused"]}
    assert farm.ask("pause", all=True)["ok"]
    assert farm.ask("resume")["said"] == ["resumed: every lane, queue mail"]
    assert farm.ask("drain") == farm.ask("drain", hurry=True) == {"ok": True, "said": ["draining"], "left_s": 12.5}
    assert farm.drains == [False, True]
    assert farm.ask("reload")["said"] == ["lane fast: 2 subworkers, before 1"]
    assert (farm.ask("status"), farm.ask("config")) == ({"ok": True, "pid": 7}, {"ok": True, "lanes": {}})
    farm.problem = "a.yaml:1:2: lanes: expected a mapping\na.yaml:3:1: host: unknown key"
    assert farm.ask("reload") == {"error": farm.problem}
    assert caplog.messages.count("drain, asked for by ada, pid 5") == 2
    assert "resume, asked for by ada, pid 5: resumed: every lane, queue mail" in caplog.messages


@pytest.mark.parametrize(
    "request_", [{}, {"do": None}, {"do": "pauze"}, {"do": "pause"}, {"do": "pause", "lanes": "fast"}, {"do": "pause", "queues": [1]}]
)
def test_what_makes_no_sense_is_refused(farm: Farm, request_: dict[str, Any]) -> None:
    answer = farm.commands.perform(request_, "ada")
    assert list(answer) == ["error"]
    assert farm.host.held == []


def test_a_mistake_of_ours_ends_no_farm(farm: Farm, caplog: pytest.LogCaptureFixture) -> None:
    farm.problem = "a bug"
    assert farm.ask("reload")["error"] == "a mistake in farm itself: KeyError: 'x' (its log shows where)"
    assert caplog.messages == ["reload, asked for by ada, pid 5, failed; the farm goes on"]


def test_answers_can_be_stored_whatever_was_asked(farm: Farm) -> None:
    farm.problem = "a\0b\ud800" + "x" * CHARACTERS_MAX
    error = farm.ask("reload")["error"]
    assert error.startswith("ab?xxx")
    assert len(error) <= CHARACTERS_MAX


class Table:
    """Requests in a database that may be away."""

    def __init__(self) -> None:
        self.requests: dict[int, HostRequest] = {}
        self.answers: dict[int, Mapping[str, Any]] = {}
        self.is_away = False
        self.looks = 0

    def ask(self, kind: str, arguments: Any = None) -> int:
        number = len(self.requests) + len(self.answers) + 1
        self.requests[number] = HostRequest(number, kind, arguments, "bob")
        return number

    def unanswered(self, host_id: int, limit: int) -> list[HostRequest]:
        self.looks += 1
        return list(self.requests.values())[:limit]

    def answer(self, request_id: int, answer: Mapping[str, Any]) -> None:
        if self.is_away:
            raise StoreUnavailable
        assert request_id not in self.answers, "answered once"
        self.answers[request_id] = answer
        del self.requests[request_id]


def test_a_request_through_the_database_is_done_once_and_answered_when_that_can_be_written(farm: Farm) -> None:
    table, inbox, wakes = Table(), list[HostRequest](), list[bool]()
    postbox = Postbox(store=table, deliver=inbox.append, wake=lambda: wakes.append(True))
    postbox.exchange(1, False)
    assert table.looks == 0, "a heartbeat that was told of nothing asks for nothing"
    pause = table.ask("pause", {"lanes": ["fast"]})
    status, odd = table.ask("status"), table.ask("drain", [1, 2])
    for _ in range(3):
        postbox.exchange(1, True)
    assert [request.id for request in inbox] == [pause, status, odd]
    for request in inbox:
        farm.commands.answer(request, postbox)
    assert wakes
    assert farm.host.held == ["fast"]
    table.is_away = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            postbox.exchange(1, True)
    table.is_away = False
    postbox.exchange(1, True)
    assert table.answers[pause] == {"ok": True, "said": ["lane fast is paused"]}
    assert "on the host itself" in table.answers[status]["error"]
    assert table.answers[odd]["ok"]
    assert len(inbox) == 3
    postbox.exchange(1, True)
    assert not table.requests


def test_a_flood_of_requests_is_taken_in_portions(farm: Farm) -> None:
    table, inbox = Table(), list[HostRequest]()
    postbox = Postbox(store=table, deliver=inbox.append, wake=lambda: None)
    for _ in range(3 * AT_ONCE_MAX):
        table.ask("resume")
    postbox.exchange(1, True)
    postbox.exchange(1, True)
    assert len(inbox) == AT_ONCE_MAX
    for rounds in range(1, 4):
        while inbox:
            farm.commands.answer(inbox.pop(), postbox)
        postbox.exchange(1, True)
        assert len(table.answers) == rounds * AT_ONCE_MAX

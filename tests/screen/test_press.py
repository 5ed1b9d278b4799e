"""What keys do, on a farm that stands still."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farm.screen.glyphs import UNICODE
from farm.screen.lists import chosen_item, focus, listed
from farm.screen.model import Snapshot
from farm.screen.panes.footer import keys_now
from farm.screen.press import press
from farm.screen.state import Action, Do, JobPage, Opened, Pane, View
from tests.screen.lively import snapshot

SEEN = snapshot(8)


def _press(*keys: str, view: View | None = None, seen: Snapshot = SEEN) -> tuple[View, Action | None]:
    view, action = view or View(), None
    for key in keys:
        view, action = press(view, key, seen)
    return view, action


def test_arrows_and_letters_move_and_stop_at_the_ends() -> None:
    assert chosen_item(Pane.LANES, SEEN, _press("down", "j")[0]).name == "reports"
    assert chosen_item(Pane.LANES, SEEN, _press("up", "k")[0]).name == "fast"
    assert chosen_item(Pane.LANES, SEEN, _press("G", "down")[0]).name == "legacy"
    assert chosen_item(Pane.LANES, SEEN, _press("end", "home")[0]).name == "fast"


def test_tab_goes_round_the_lists_that_have_something() -> None:
    panes = [focus(SEEN, _press(*["tab"] * count)[0]) for count in range(6)]
    assert panes == [Pane.LANES, Pane.SUBWORKERS, Pane.FAILURES, Pane.HOSTS, Pane.QUEUES, Pane.LANES]
    assert focus(SEEN, _press("shift-tab")[0]) is Pane.QUEUES
    assert focus(replace(SEEN, failures=()), _press("tab", "tab", seen=replace(SEEN, failures=()))[0]) is Pane.HOSTS


def test_the_chosen_row_stays_chosen_when_the_order_changes() -> None:
    view, _ = _press("down", "s", "s")
    assert chosen_item(Pane.LANES, SEEN, view).name == "emails"
    # By queued: the most first.
    assert [lane.name for lane in listed(Pane.LANES, SEEN, view)] == ["emails", "fast", "legacy", "reports"]


def test_a_row_that_is_gone_leaves_its_place_to_the_next() -> None:
    view, _ = _press("tab", "j", "j")
    fewer = replace(SEEN, subworkers=tuple(one for one in SEEN.subworkers if one.name != "w2"))
    assert chosen_item(Pane.SUBWORKERS, fewer, view).name == "w3"


def test_pausing_asks_and_names_the_lane() -> None:
    view, action = _press("down", "p")
    assert action is None
    assert view.question is not None
    assert "emails" in view.question.text
    assert _press("y", view=view) == (replace(view, question=None), Action(Do.PAUSE, lane="emails"))
    assert _press("n", view=view) == (replace(view, question=None), None)
    assert _press("x", view=view) == (view, None), "anything else is no answer"


def test_a_paused_lane_goes_on_without_a_question() -> None:
    assert _press("G", "p")[1] == Action(Do.RESUME, lane="legacy")


def test_cancelling_and_retrying_ask_and_name_the_job() -> None:
    view, _ = _press("tab", "x")
    job = SEEN.subworkers[0].jobs[0]
    assert view.question is not None
    assert str(job.job_id) in view.question.text
    assert job.task in view.question.text
    assert _press("y", view=view)[1] == Action(Do.CANCEL, job_id=job.job_id)
    view, _ = _press("tab", "tab", "r")
    assert _press("y", view=view)[1] == Action(Do.RETRY, job_id=SEEN.failures[0].job_id)


def test_draining_asks_and_is_not_offered_where_no_farm_is() -> None:
    view, _ = _press("d")
    assert view.question is not None
    assert "default" in view.question.text
    assert _press("y", view=view)[1] == Action(Do.DRAIN)
    assert _press("d", seen=replace(SEEN, instance="", host="")) == (View(), None)


def test_enter_opens_and_escape_goes_back_one_page_at_a_time() -> None:
    view, _ = _press("tab", "enter")
    assert view.opened == (Opened(Pane.SUBWORKERS, "w0"),)
    view, action = _press("enter", view=view)
    job_id = SEEN.subworkers[0].jobs[0].job_id
    assert action == Action(Do.OPEN, job_id=job_id)
    assert view.opened[-1] == Opened(None, job_id)
    assert view.page is not None
    assert (view.page.job_id, view.page.job) == (job_id, None), "what was known of it before is old"
    assert _press("escape", view=view)[0].opened == (Opened(Pane.SUBWORKERS, "w0"),)
    assert _press("backspace", "escape", view=view)[0].opened == ()


def test_a_filter_is_typed_kept_and_taken_back() -> None:
    view, action = _press("/", *"mail", "q")
    assert (view.filter, view.typing, action) == ("mailq", True, None), "q is a letter there"
    view, _ = _press("backspace", "enter", view=view)
    assert (view.filter, view.typing) == ("mail", False)
    assert [lane.name for lane in listed(Pane.LANES, SEEN, view)] == ["emails"]
    assert _press("escape", view=view)[0].filter == ""


def test_space_freezes_and_goes_on() -> None:
    assert _press("space")[0].frozen
    assert not _press("space", "space")[0].frozen


def test_q_leaves_from_everywhere_but_a_question_and_a_filter() -> None:
    assert _press("q")[1] == _press("?", "q")[1] == _press("enter", "q")[1] == Action(Do.QUIT)
    assert _press("p", "q")[1] is None
    assert _press("p", "ctrl-c")[1] == _press("/", "ctrl-c")[1] == Action(Do.QUIT)


def test_the_footer_names_only_keys_that_do_something() -> None:
    """Each key that is shown changes something, asks or acts; those of other lists are not shown."""
    for keys in ((), ("G",), ("tab",), ("tab", "tab"), ("shift-tab",), ("enter",), ("tab", "enter"), ("tab", "tab", "enter"), ("?",)):
        view, _ = _press(*keys)
        for key, word, _ in keys_now(SEEN, view, UNICODE):
            pressed = {"↑↓": "down" if "G" not in keys else "up"}.get(key, key)
            after, action = _press(pressed, view=view)
            moved = word == "scroll" and isinstance(view.opened[-1:], tuple)
            assert (after, action) != (view, None) or moved, (keys, key)
    assert "p" not in [key for key, _, _ in keys_now(SEEN, _press("tab")[0], UNICODE)]


@pytest.mark.parametrize(
    ("state", "offered"),
    [("", set()), ("ready", {"x"}), ("running", {"x"}), ("retrying", {"x"}), ("succeeded", set()), ("failed", {"r"}), ("cancelled", {"r"})],
)
def test_a_job_that_has_ended_is_not_cancelled_and_only_one_without_success_is_tried_again(state: str, offered: set[str]) -> None:
    view = View(opened=(Opened(None, 7),), page=JobPage(7, job={"state": state} if state else None))
    assert {"x", "r"}.intersection(key for key, _, _ in keys_now(SEEN, view, UNICODE)) == offered
    assert {key for key in ("x", "r") if _press(key, view=view)[0].question is not None} == offered
    other = replace(view, page=JobPage(8, job={"state": "running"}))
    assert _press("x", view=other)[0].question is None, "that is another job"

"""Mistakes in what lanes do beside each other, and in what is changed and told while they run: pauses, moves, turns, reloads, progress."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

LANE, HANDOVER = "farm/supervisor/lanes/lane.py", "farm/supervisor/lanes/handover.py"
PAUSES, CONTROL = "farm/supervisor/control/pauses.py", "farm/supervisor/control/control.py"
WORKLIST, TURNS = "farm/supervisor/claims/worklist.py", "farm/supervisor/claims/turns.py"
PROGRESS, IN_PROGRESS = "farm/shm/progress.py", "tests/shm/test_progress.py"
IN_PAUSES, IN_MOVES, IN_CLAIMS = "tests/unit/test_pauses.py", "tests/unit/test_handover.py", "tests/unit/test_claimer.py"
IN_ORIGINS, IN_CONTROL, IN_TURNS = "tests/unit/test_origins.py", "tests/unit/test_control.py", "tests/unit/test_turns.py"

OF_LANES: tuple[Mutation, ...] = (
    Mutation(
        "a lane that is held claims all the same",
        LANE,
        "if self.held_by or not self.serving",
        "if not self.serving",
        f"{IN_CLAIMS}::test_nothing_is_claimed_for_a_lane_that_is_held",
    ),
    Mutation(
        "a lane that is paused starts what it has claimed",
        LANE,
        "return not self.held_by.isdisjoint((PAUSED, LEAVING))",
        "return LEAVING in self.held_by",
        f"{IN_MOVES}::test_a_lane_that_stands_back_gives_up_what_it_has_not_started",
    ),
    Mutation(
        "to resume a lane lifts every reason to hold it",
        LANE,
        "self.held_by -= {reason}",
        "self.held_by = frozenset()",
        f"{IN_PAUSES}::test_other_reasons_to_hold_a_lane_stay",
    ),
    Mutation(
        "a pause that could not be kept is done",
        PAUSES,
        'raise FarmError(f"cannot write {self._directory / FILE_NAME}: {error.strerror}") from error',
        "pass",
        f"{IN_PAUSES}::test_what_cannot_be_kept_is_not_done",
    ),
    Mutation(
        "a pause of every lane forgets those of a later configuration",
        PAUSES,
        "return Paused(paused.lanes & known, paused.queues, paused.every_lane)",
        "return Paused(paused.lanes & known, paused.queues, False)",
        f"{IN_PAUSES}::test_every_lane",
    ),
    Mutation(
        "a pause is forgotten with its farm",
        PAUSES,
        "        self.paused = self._without_the_gone(found)\n",
        "",
        f"{IN_PAUSES}::test_pauses_outlive_the_farm",
    ),
    Mutation(
        "a queue that is paused is claimed",
        WORKLIST,
        " if of[0] not in queues}",
        "}",
        f"{IN_CLAIMS}::test_queues_that_are_paused_are_passed_over",
    ),
    Mutation(
        "a queue that is paused runs what was claimed of it",
        HANDOVER,
        "return not self._paused.isdisjoint(origin.queues)",
        "return False",
        f"{IN_MOVES}::test_what_is_of_a_paused_queue_goes_back",
    ),
    Mutation(
        "a job is moved to a lane whose memory is too small for it",
        LANE,
        "return origin.memory_mb <= self.memory_mb and bool(",
        "return bool(",
        f"{IN_ORIGINS}::test_a_lane_serves_what_it_could_have_claimed",
    ),
    Mutation(
        "a job is moved to a lane that serves only some queues of its claim",
        LANE,
        "origin.queues.issubset(queues)",
        "not origin.queues.isdisjoint(queues)",
        f"{IN_ORIGINS}::test_a_lane_serves_what_it_could_have_claimed",
    ),
    Mutation(
        "what a lane gives up is held by nobody",
        HANDOVER,
        "        self._give_back(lane.take_all())\n",
        "        lane.take_all()\n",
        f"{IN_MOVES}::test_a_lane_that_stands_back_gives_up_what_it_has_not_started",
    ),
    Mutation(
        "jobs that are passed over change places with those before them",
        HANDOVER,
        "held.extendleft(reversed(passed))",
        "held.extend(passed)",
        f"{IN_MOVES}::test_the_first_ones_that_are_allowed_are_taken",
    ),
    Mutation(
        "a lane that wants many jobs is claimed for before one that wants few",
        TURNS,
        "(turn.is_large, turn.takes_anything",
        "(not turn.is_large, turn.takes_anything",
        f"{IN_TURNS}::test_who_wants_few_comes_first",
    ),
    Mutation(
        "a lane for anything claims what an idle lane waits for",
        TURNS,
        "turn.takes_anything and not turn.is_large, ",
        "",
        f"{IN_TURNS}::test_who_takes_anything_leaves_others_what_they_wait_for",
    ),
    Mutation(
        "the control socket serves whoever connects",
        CONTROL,
        "        if uid not in self._uids:",
        "        if False:",
        f"{IN_CONTROL}::test_root_and_its_own_user_are_served_and_nobody_else",
    ),
    Mutation(
        "what somebody asked for who is gone is done",
        CONTROL,
        "        if self._clients.get(client.fd) is not client:\n            return\n",
        "",
        f"{IN_CONTROL}::test_what_somebody_asked_for_who_is_gone_is_left_undone",
    ),
    Mutation(
        "the spare of a lane is not in the sum of its memory",
        "farm/config/budget.py",
        "return (self.subworkers + SPARE) * self.memory_bytes",
        "return self.subworkers * self.memory_bytes",
        "tests/config/test_budget.py::test_the_table_names_every_lane_and_the_host",
    ),
    Mutation(
        "a reload takes on what needs a restart",
        "farm/config/changes.py",
        ' | ("lease",)',
        "",
        "tests/torture/test_settings.py::test_what_is_wrong_is_refused",
    ),
    Mutation(
        "progress is shown for the job before",
        PROGRESS,
        """        if words[at + 1] != seq:
            return None
        for _ in range(READ_TRIES_MAX):
            version, of_seq, millionths, length, raw = _ROW.unpack_from(self._memory, slot * _ROW.size)
            # 0 is there for a moment, too: pack_into() clears the row before it writes.
            if not version or version & 1 or version != words[at]:
                continue
            if of_seq != seq:
                return None
""",
        """        for _ in range(READ_TRIES_MAX):
            version, of_seq, millionths, length, raw = _ROW.unpack_from(self._memory, slot * _ROW.size)
            # 0 is there for a moment, too: pack_into() clears the row before it writes.
            if not version or version & 1 or version != words[at]:
                continue
""",
        f"{IN_PROGRESS}::test_said_by_one_job_of_one_slot",
    ),
    Mutation(
        "progress is shown while it is being written",
        PROGRESS,
        "if not version or version & 1 or version != words[at]:",
        "if not version or version != words[at]:",
        f"{IN_PROGRESS}::test_whatever_lies_there_can_be_stored_and_shown",
    ),
)

"""Mistakes in farm's code: the writer, the supervisor, the subworkers, and the stores."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

BATCH, OUTCOMES, COMMITS = "farm/writer/batch.py", "farm/store/outcomes.py", "farm/store/commits.py"
START, GENERATION, TAKE_OVER = "farm/shm/start.py", "farm/supervisor/processes/generation.py", "farm/supervisor/host/takeover.py"
IN_BATCHES, IN_COMMITS, IN_STARTS = "tests/unit/test_batch.py", "tests/store/test_commits.py", "tests/shm/test_start.py"
IN_BURIALS, IN_WATCHES, IN_TAKE_OVERS = "tests/unit/test_burial.py", "tests/unit/test_watch.py", "tests/unit/test_takeover.py"
IN_BEATS, IN_RETRIES, IN_CANCELS = "tests/unit/test_heartbeat.py", "tests/unit/test_retry.py", "tests/unit/test_cancel.py"
AGAIN = "again = self._held or any(source.first_pass for source in self._read_from)"
"""The line before which nothing has been committed yet."""

OF_WRITER = (
    Mutation(
        "the tail of a ring is moved before the commit",
        BATCH,
        f"        {AGAIN}\n",
        f"        {AGAIN}\n        for source in self._read_from:\n            source.ring.release(source.ring.cursor)\n",
        f"{IN_BATCHES}::test_order_of_a_commit",
    ),
    Mutation(
        "outcomes are acknowledged before the commit",
        BATCH,
        f"        {AGAIN}\n",
        f"        {AGAIN}\n        for source in self._read_from:\n            self._acknowledge(source.number, source.acks.tobytes())\n",
        f"{IN_BATCHES}::test_a_commit_that_fails",
    ),
    Mutation(
        "the tail of a ring is moved before the acks are pushed",
        BATCH,
        "            for start in range(0, len(source.acks), ACKS_A_FRAME_MAX):",
        "            source.ring.release(source.ring.cursor)\n            for start in range(0, len(source.acks), ACKS_A_FRAME_MAX):",
        f"{IN_BATCHES}::test_order_of_a_commit",
    ),
    Mutation(
        "a commit that is tried again is not said to be one",
        BATCH,
        "again = self._held or any(",
        "again = any(",
        f"{IN_BATCHES}::test_a_commit_that_fails",
    ),
    Mutation(
        "more is read while a commit has not reached the database",
        BATCH,
        "        if self._held:\n            return\n",
        "",
        f"{IN_BATCHES}::test_a_commit_that_fails",
    ),
    Mutation(
        "a position that is settled is settled again",
        COMMITS,
        " and not before >> position & 1",
        "",
        f"{IN_COMMITS}::test_an_outcome_is_written_once_whoever_sends_it_again",
    ),
    Mutation(
        "what is to run again is put back outside of the commit",
        COMMITS,
        'names.append("return_jobs")',
        'names += ["return_jobs", "commit", "begin"]',
        f"{IN_COMMITS}::test_a_commit_is_done_as_a_whole_or_not_at_all",
    ),
    Mutation(
        "crashes are not counted",
        COMMITS,
        'names.append("count_crashes")',
        "pass",
        f"{IN_COMMITS}::test_crashes_are_counted_apart_from_failures",
    ),
    Mutation(
        "a job crashes once more than it may",
        OUTCOMES,
        "crashes + 1 >= CRASHES_MAX_DEFAULT",
        "crashes >= CRASHES_MAX_DEFAULT",
        f"{IN_COMMITS}::test_a_job_that_fails_runs_three_times_and_keeps_the_reason_of_each",
    ),
    Mutation(
        "a job runs once more than max_attempts",
        OUTCOMES,
        "attempt >= (attempts_max or ATTEMPTS_MAX_DEFAULT)",
        "attempt > (attempts_max or ATTEMPTS_MAX_DEFAULT)",
        f"{IN_COMMITS}::test_max_attempts_says_how_often_a_job_may_run",
    ),
    Mutation(
        "what was released has used an attempt",
        OUTCOMES,
        "Return(outcome.job_id, attempt, lost, verdict.delay_s)",
        "Return(outcome.job_id, attempt + 1, lost, verdict.delay_s)",
        f"{IN_COMMITS}::test_what_was_released_goes_back_unharmed",
    ),
    Mutation(
        "a snooze uses an attempt",
        OUTCOMES,
        "return Verdict(False, None, _asked_after_s(",
        "return Verdict(True, None, _asked_after_s(",
        f"{IN_RETRIES}::test_a_snooze_uses_nothing_however_often",
    ),
    Mutation(
        "an error that no other attempt would mend is tried again",
        OUTCOMES,
        " and policy.is_final(",
        " and not policy.is_final(",
        f"{IN_RETRIES}::test_the_table",
    ),
    Mutation(
        "what has failed together comes back together",
        "farm/retry.py",
        "clamped_s(draw * min(",
        "clamped_s(min(",
        f"{IN_RETRIES}::test_a_pause_is_within_its_bounds",
    ),
    Mutation(
        "those who wait are not told",
        COMMITS,
        "    if told:\n",
        "    if not told:\n",
        "tests/store/test_waits.py::test_whoever_waits_is_told_with_the_commit",
    ),
)

OF_SUBWORKERS = (
    Mutation(
        "a job is started without a look whether it was recalled",
        START,
        "        if header[RECALL_WORD]:\n            self.acknowledge(seq)\n            states[0] = FREE",
        "        if False:\n            self.acknowledge(seq)\n            states[0] = FREE",
        f"{IN_STARTS}::test_a_start_that_meets_a_recall_is_withdrawn_and_the_ring_is_emptied_first",
    ),
    Mutation(
        "jobs are started at the very end of the lease",
        START,
        "now_boot_ns >= self._header[GATE_WORD]",
        "now_boot_ns > self._header[GATE_WORD]",
        f"{IN_STARTS}::test_nothing_starts_past_the_gate_during_a_recall_or_without_a_supervisor",
    ),
    Mutation(
        "a recall is answered before the ring is emptied",
        START,
        "while self._jobs.take(FRAMES_DROPPED_AT_ONCE):",
        "while False:",
        f"{IN_STARTS}::test_a_start_that_meets_a_recall_is_withdrawn_and_the_ring_is_emptied_first",
    ),
    Mutation(
        "a slot is freed before its outcome is published",
        "farm/subworker/process.py",
        "            if self._forked:\n",
        "            states[0] = FREE\n            if self._forked:\n",
        "tests/unit/test_run_loop.py::test_a_slot_is_free_only_when_its_outcome_is_published",
    ),
)

OF_SUPERVISOR = (
    Mutation(
        "a running job is given back",
        START,
        "return Taken(self._marked + 1, self._undecided(), None, False)",
        "return Taken(self._marked, self._undecided(), None, False)",
        f"{IN_STARTS}::test_what_stands_behind_a_running_job_is_taken_back_at_once",
    ),
    Mutation(
        "the answer to an earlier recall counts",
        START,
        "if self._generation.ack != self._number:",
        "if not self._generation.ack:",
        f"{IN_STARTS}::test_an_old_acknowledgement_counts_for_nothing",
    ),
    Mutation(
        "a recall is lifted before it is answered",
        START,
        "assert dead or self._generation.ack == self._number",
        "assert True",
        f"{IN_STARTS}::test_an_old_acknowledgement_counts_for_nothing",
    ),
    Mutation(
        "the dead are buried before their outcomes are committed",
        GENERATION,
        "return self._results.drained or bool(self.file.broken)",
        "return True",
        f"{IN_BURIALS}::test_not_before_the_ring_is_consumed",
    ),
    Mutation(
        "a job is blamed for another one's end",
        "farm/supervisor/crew/burial.py",
        "if doom.seq in (slot.seq, ",
        "if True or doom.seq in (slot.seq, ",
        f"{IN_BURIALS}::test_killed_for_another_job",
    ),
    Mutation(
        "a kill hits the job that came next",
        "farm/supervisor/limits/deadlines.py",
        "    if any(row.seq == slot.seq for row in generation.running()):\n",
        "    if True:\n",
        f"{IN_BURIALS}::test_a_kill_never_hits_the_next_job",
    ),
    Mutation(
        "a running job is ended because it is not to be started any more",
        "farm/supervisor/limits/cancel.py",
        " and not request.only_unstarted",
        "",
        f"{IN_CANCELS}::test_what_runs_is_ended_unless_only_the_unstarted_are_meant",
    ),
    Mutation(
        "a job is cancelled that is about to start",
        "farm/supervisor/limits/cancel.py",
        "if not any(seq > marked and ",
        "if not any(seq >= marked and ",
        f"{IN_CANCELS}::test_what_is_about_to_start_or_has_published_its_outcome_is_not_touched",
    ),
    Mutation(
        "a heartbeat lists what is only marked",
        GENERATION,
        "return self.file.slots.running()",
        "return [row for slot in range(self._slots) if (row := self.file.slots.read(slot)) and row.state]",
        f"{IN_BEATS}::test_a_beat_lists_what_has_started_and_nothing_else",
    ),
    Mutation(
        "the gate counts from the answer to a beat",
        "farm/supervisor/host/heartbeat.py",
        "self._open_gate(sent_ns)",
        "self._open_gate(linux.boottime_ns())",
        f"{IN_BEATS}::test_the_gate_counts_from_before_the_beat_was_sent",
    ),
    Mutation(
        "the gate of a retired host is opened again",
        "farm/supervisor/host/heartbeat.py",
        "if generation.host_id == self._host_id:",
        "if True:",
        f"{IN_BEATS}::test_the_gate_of_a_retired_host_stays_closed",
    ),
    Mutation(
        "a lease ends one look later",
        "farm/supervisor/upkeep/upkeep.py",
        "now - self._seen[beat.host_id][1] >= self._lease_s",
        "now - self._seen[beat.host_id][1] > self._lease_s",
        f"{IN_WATCHES}::test_a_host_that_is_silent_for_a_lease",
    ),
    Mutation(
        "the watch goes on after a look that failed",
        "farm/supervisor/upkeep/upkeep.py",
        "            self._watch.begin_anew()\n            raise",
        "            raise",
        f"{IN_WATCHES}::test_a_moment_without_the_database_begins_the_watch_anew",
    ),
    Mutation(
        "the watch goes on after a look that came late",
        "farm/supervisor/upkeep/upkeep.py",
        "if late or server_up_s < self._lease_s:",
        "if server_up_s < self._lease_s:",
        f"{IN_WATCHES}::test_a_late_look_begins_anew",
    ),
    Mutation(
        "hosts are retired as soon as the server is up",
        "farm/supervisor/upkeep/upkeep.py",
        "if late or server_up_s < self._lease_s:",
        "if late:",
        f"{IN_WATCHES}::test_a_young_server",
    ),
    Mutation(
        "a successor does not wait for the lock of the old crew",
        TAKE_OVER,
        "    if lock.try_exclusive():\n",
        "    if lock.try_exclusive() or True:\n",
        f"{IN_TAKE_OVERS}::test_nothing_is_taken_over_while_somebody_holds_the_lock_of_the_old_crew",
    ),
    Mutation(
        "a successor does not retire its predecessor before it reaps",
        TAKE_OVER,
        "            store.retire(host_id)\n",
        "",
        f"{IN_TAKE_OVERS}::test_slots_tell_which_jobs_had_started",
    ),
    Mutation(
        "a process is killed by a bare pid",
        "farm/linux.py",
        "        if start_time(pid) != started:\n            return False\n",
        "",
        f"{IN_TAKE_OVERS}::test_the_old_crew_is_killed_by_pid_and_start_time",
    ),
)

OF_CODE = (*OF_WRITER, *OF_SUBWORKERS, *OF_SUPERVISOR)

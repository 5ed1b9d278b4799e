"""Mistakes in who is looked at seldom: somebody who should have been looked at, or woken, is forgotten."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

LANE, GENERATION = "farm/supervisor/lanes/lane.py", "farm/supervisor/processes/generation.py"
RECYCLING, ROUNDS = "farm/supervisor/crew/recycling.py", "farm/supervisor/crew/rounds.py"
ATTACHED, SUBWORKER = "farm/writer/attached.py", "farm/subworker/process.py"
IN_ROSTER, IN_ATTACHED, IN_LOOP = "tests/unit/test_roster.py", "tests/unit/test_attached.py", "tests/unit/test_run_loop.py"

OF_REST: tuple[Mutation, ...] = (
    Mutation(
        "who is given jobs while it rests goes on resting",
        GENERATION,
        "        self.stir()\n        first, free_bytes",
        "        first, free_bytes",
        f"{IN_ROSTER}::test_what_a_lane_says_of_all_is_as_if_all_had_been_asked",
    ),
    Mutation(
        "who comes to rest takes with it which jobs are to run alone",
        LANE,
        "        if generation.slots > 1:\n            self.loners.know",
        "        if generation.slots > 99:\n            self.loners.know",
        f"{IN_ROSTER}::test_jobs_that_are_to_run_alone_are_known_when_one_comes_to_rest",
    ),
    Mutation(
        "of those at rest only one is asked",
        LANE,
        "islice(reversed(self._roster.resting), len(self.held))",
        "islice(reversed(self._roster.resting), 1)",
        f"{IN_ROSTER}::test_those_at_rest_are_given_one_each_before_anybody_gets_more",
    ),
    Mutation(
        "who has come to rest since the last look is not looked at again",
        RECYCLING,
        "        self._watched.update((generation.number, generation) for generation in astir)\n",
        "",
        f"{IN_ROSTER}::test_who_grew_with_its_last_job_is_found_though_it_rests",
    ),
    Mutation(
        "rings of those at rest are not looked at",
        ROUNDS,
        "_kill_broken(self._crew.generations)",
        "_kill_broken(self._crew.astir)",
        f"{IN_ROSTER}::test_a_broken_ring_is_found_at_once_where_something_is_handed_out_and_within_a_second_elsewhere",
    ),
    Mutation(
        "nobody is woken a second time",
        ROUNDS,
        "            generation.nudge()",
        "            pass",
        f"{IN_ROSTER}::test_who_should_have_moved_is_woken_once_more",
    ),
    Mutation(
        "an idle subworker wakes the others each time that it finds nothing",
        SUBWORKER,
        "            self._hungry = False\n",
        "",
        f"{IN_LOOP}::test_one_that_has_nothing_to_do_says_so_once",
    ),
    Mutation(
        "a quiet ring whose producer was killed before it woke the writer is not read",
        ATTACHED,
        "if source.ring.unread]",
        "if not source.ring.words[48] and source.ring.unread]",
        f"{IN_ATTACHED}::test_what_a_subworker_published_that_was_killed_before_it_could_wake_anybody_is_found",
    ),
    Mutation(
        "those who run something are no company",
        ATTACHED,
        "if source.busy]",
        "if source.ring.unread]",
        f"{IN_ATTACHED}::test_company_is_whoever_runs_something",
    ),
)

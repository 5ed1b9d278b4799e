"""Mistakes in farm's statements."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

SQL, CLAIM = "farm/sql", "farm/sql/migrations/0010_claim.sql"
CLAIMS, COMMITS, UPKEEP = "tests/store/test_claims.py", "tests/store/test_commits.py", "tests/store/test_upkeep.py"
ORDERS = "tests/store/test_interleavings.py"

OF_SQL = (
    Mutation(
        "a commit reads its leases without locking them: no fence",
        f"{SQL}/lock_leases.sql",
        "ORDER BY l.id\nFOR UPDATE",
        "ORDER BY l.id",
        f"{ORDERS}::test_a_commit_and_a_take_over",
    ),
    Mutation(
        "a retired host claims",
        CLAIM,
        " AND h.retired_at IS NULL",
        "",
        f"{CLAIMS}::test_a_retired_host_claims_nothing_and_loses_nothing",
    ),
    Mutation(
        "a claim that is asked again leaves no empty lease in the way of the first try",
        CLAIM,
        "WHERE a.n + f.n > 0 OR again",
        "WHERE a.n + f.n > 0",
        f"{ORDERS}::test_a_claim_and_its_own_retry_leave_no_job_that_the_retry_does_not_know",
    ),
    Mutation(
        "an attempt is counted at the claim",
        CLAIM,
        "array_agg(t.attempt ORDER BY t.job_id) AS attempts",
        "array_agg((t.attempt + 1)::smallint ORDER BY t.job_id) AS attempts",
        f"{CLAIMS}::test_what_came_back_is_claimed_first_with_its_attempts_and_up_to_a_limit",
    ),
    Mutation(
        "a claim forgets how often a job was lost",
        CLAIM,
        "CASE WHEN a.lost_max > 0 THEN",
        "CASE WHEN false THEN",
        f"{UPKEEP}::test_the_tenth_loss_ends_a_job",
    ),
    Mutation(
        "a job that is put back has its attempts anew",
        f"{SQL}/return_jobs.sql",
        "u.job_id, u.attempt, u.lost\n",
        "u.job_id, 0, u.lost\n",
        f"{COMMITS}::test_a_job_that_fails_runs_three_times_and_keeps_the_reason_of_each",
    ),
    Mutation(
        "running out of memory is not counted as a crash",
        f"{SQL}/count_crashes.sql",
        "('crashed', 'memory')",
        "('crashed')",
        f"{COMMITS}::test_a_job_that_fails_runs_three_times_and_keeps_the_reason_of_each",
    ),
    Mutation(
        "the reaper ignores the done bits",
        f"{SQL}/reap_leases.sql",
        "WHERE get_bit(g.done, (u.position - 1)::int) = 0",
        "WHERE true",
        f"{UPKEEP}::test_the_last_heartbeat_says_which_jobs_used_an_attempt",
    ),
    Mutation(
        "the reaper counts every job as started",
        f"{SQL}/reap_leases.sql",
        "r.job_id IS NOT NULL AS started",
        "true AS started",
        f"{UPKEEP}::test_the_last_heartbeat_says_which_jobs_used_an_attempt",
    ),
    Mutation(
        "the reaper takes from living hosts",
        f"{SQL}/reap_leases.sql",
        " AND h.state = 'live')",
        " AND h.state = 'dead')",
        f"{UPKEEP}::test_only_hosts_that_do_not_live_are_reaped",
    ),
    Mutation(
        "a job that is lost on its last attempt runs once more",
        f"{SQL}/reap_leases.sql",
        "o.attempt + 1 >= coalesce(",
        "o.attempt + 1 > coalesce(",
        f"{UPKEEP}::test_a_job_known_to_have_started_on_its_last_attempt_is_over",
    ),
    Mutation(
        "losses are not counted",
        f"{SQL}/reap_leases.sql",
        "coalesce(g.losts[u.position], 0) + 1 AS lost",
        "coalesce(g.losts[u.position], 0) AS lost",
        f"{UPKEEP}::test_the_tenth_loss_ends_a_job",
    ),
    Mutation(
        "a host is retired though it has beaten since",
        f"{SQL}/retire_host.sql",
        " AND h.beat = coalesce(%(beat)s::bigint, h.beat)",
        "",
        f"{UPKEEP}::test_a_host_beats_until_it_is_retired_for_ever",
    ),
    Mutation(
        "a retired host beats on",
        f"{SQL}/beat.sql",
        "WHERE h.host_id = %(host_id)s::int AND h.state = 'live'",
        "WHERE h.host_id = %(host_id)s::int",
        f"{UPKEEP}::test_a_host_beats_until_it_is_retired_for_ever",
    ),
    Mutation(
        "jobs are promoted before they are due",
        f"{SQL}/promote_jobs.sql",
        "WHERE s.shard = 0 AND s.run_at <= now()",
        "WHERE s.shard = 0",
        f"{UPKEEP}::test_jobs_are_promoted_when_they_are_due_the_earliest_first",
    ),
)

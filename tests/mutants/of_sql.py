"""Mistakes in farm's statements."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

SQL, CLAIM, CANCEL = "farm/sql", "farm/sql/migrations/0010_claim.sql", "farm/sql/migrations/0013_cancel.sql"
CLAIMS, COMMITS, UPKEEP = "tests/store/test_claims.py", "tests/store/test_commits.py", "tests/store/test_upkeep.py"
RETENTION, PRUNES = "farm/sql/migrations/0018_retention.sql", "tests/store/test_prunes.py"
ORDERS, RETRIES, CANCELS = "tests/store/test_interleavings.py", "tests/store/test_retries.py", "tests/store/test_cancels.py"

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
        "SELECT 0, o.class_id, o.priority, o.job_id, o.attempt, o.lost\n",
        "SELECT 0, o.class_id, o.priority, o.job_id, o.attempt, 0\n",
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
    Mutation(
        "another attempt comes without its pause",
        f"{SQL}/postpone_jobs.sql",
        "now() + u.delay_us * interval '1 microsecond'",
        "now()",
        f"{RETRIES}::test_each_kind_goes_where_it_belongs",
    ),
    Mutation(
        "crashes of before a retry by hand still count",
        f"{SQL}/count_crashes.sql",
        "- coalesce(max(",
        "- 0 * coalesce(max(",
        f"{RETRIES}::test_a_job_is_tried_again_by_hand_as_if_it_had_never_run",
    ),
    Mutation(
        "jobs expire before their time",
        CANCEL,
        "WHERE e.shard = 0 AND e.expires_at <= now()",
        "WHERE e.shard = 0",
        f"{CANCELS}::test_a_job_that_is_not_started_in_time_expires",
    ),
    Mutation(
        "a request to cancel goes before its job has ended",
        CANCEL,
        "        EXISTS (SELECT FROM farm.result AS o WHERE o.shard = 0 AND o.job_id = c.job_id",
        "        true OR EXISTS (SELECT FROM farm.result AS o WHERE o.shard = 0 AND o.job_id = c.job_id",
        f"{CANCELS}::test_a_request_stands_until_its_job_has_ended_or_come_back",
    ),
    Mutation(
        "what changes of jobs that retention has copied is not copied again",
        RETENTION,
        "WHERE n.job_id < pruning.next_id",
        "WHERE n.job_id < 0",
        f"{PRUNES}::test_what_changes_while_it_is_copied_is_not_lost",
    ),
    Mutation(
        "failed jobs are kept no longer than those that have succeeded",
        RETENTION,
        "pruning.succeeded_before, pruning.failed_before, pruning.cancelled_before);",
        "pruning.succeeded_before, pruning.succeeded_before, pruning.cancelled_before);",
        f"{PRUNES}::test_a_mix_of_everything",
    ),
)

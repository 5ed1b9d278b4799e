"""Mistakes in what becomes of what jobs print."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

IN_LOGS = "tests/unit/test_joblog.py"

OF_LOGS = (
    Mutation(
        "a log goes on with that of the job before it",
        "farm/subworker/joblog.py",
        "        self._at = self._before = 0\n        if self._kept",
        "        if self._kept",
        f"{IN_LOGS}::test_what_a_thread_says_late_is_no_word_of_the_next_job",
    ),
    Mutation(
        "a success in a batch gets the log of the one before it",
        "farm/model.py",
        '[b""] * (len(self.heads) - 1 - len(self.logs))',
        '[b""] * (len(self.heads) - 2 - len(self.logs))',
        f"{IN_LOGS}::test_each_success_keeps_its_own_log_however_a_batch_is_divided",
    ),
    Mutation(
        "where only the first jobs of a lease have printed, rows of the others are lost",
        "farm/model.py",
        '            self.logs += [b""] * (len(self.heads) - len(self.logs))\n',
        "            pass\n",
        f"{IN_LOGS}::test_each_success_keeps_its_own_log_however_a_batch_is_divided",
    ),
)

"""All mutations, in the order in which they are tried."""

from __future__ import annotations

from tests.mutants.mutation import Mutation
from tests.mutants.of_code import OF_CODE
from tests.mutants.of_lanes import OF_LANES
from tests.mutants.of_logs import OF_LOGS
from tests.mutants.of_rest import OF_REST
from tests.mutants.of_sql import OF_SQL

ALL: tuple[Mutation, ...] = (*OF_SQL, *OF_CODE, *OF_LANES, *OF_LOGS, *OF_REST)

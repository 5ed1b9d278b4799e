-- Give up what retention is putting together, if that was begun with shorter times than these (null: for ever). Reads a table of one row.
SELECT farm.spare_range(%(succeeded_s)s::float8, %(failed_s)s::float8, %(cancelled_s)s::float8)

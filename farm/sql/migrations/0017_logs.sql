-- What an attempt has printed, cut to the limit of its lane. It stands with the row of the attempt: of one that succeeded in result, of all
-- others in failure. Null where nothing was printed or nothing is kept, which takes no room in a row.
ALTER TABLE farm.result ADD COLUMN log text;
ALTER TABLE farm.failure ADD COLUMN log text;

COMMENT ON COLUMN farm.result.log IS 'what the attempt that succeeded has printed; what others have printed stands in farm.failure';
COMMENT ON COLUMN farm.failure.log IS 'what this attempt has printed';

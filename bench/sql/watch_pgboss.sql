-- Notes each completion of a job of pg-boss, which keeps no record of them, with the number of the job. Several statements, run once.
CREATE TABLE bench_completion (n int NOT NULL);

CREATE FUNCTION bench_note_completion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bench_completion VALUES ((NEW.data ->> 'n')::int);
    RETURN NULL;
END
$$;

CREATE TRIGGER bench_completed AFTER UPDATE ON pgboss.job
FOR EACH ROW WHEN (NEW.name = 'noop' AND NEW.state = 'completed') EXECUTE FUNCTION bench_note_completion();

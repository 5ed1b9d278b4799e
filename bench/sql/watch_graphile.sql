-- Notes each completion of a job of Graphile Worker, which deletes it, with the number of the job. Several statements, run once.
CREATE TABLE bench_completion (n int NOT NULL);

CREATE FUNCTION bench_note_completion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bench_completion VALUES ((OLD.payload ->> 'n')::int);
    RETURN NULL;
END
$$;

CREATE TRIGGER bench_completed AFTER DELETE ON graphile_worker._private_jobs
FOR EACH ROW EXECUTE FUNCTION bench_note_completion();

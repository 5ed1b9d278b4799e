"""Runs a job again outside of any farm: in a process of its own, with the limits of its lane, and nothing is written to the job."""

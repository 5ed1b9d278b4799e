"""Shared memory between the processes of one host: rings of frames, slot tables, and the stores that decide who may start a job."""

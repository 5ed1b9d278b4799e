"""The parts of a frame: each a pure function from a snapshot and what was chosen to rows."""

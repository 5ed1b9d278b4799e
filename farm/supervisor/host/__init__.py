"""This host among the others: its row, its heartbeat, what it says of its lanes, and whom it takes over from."""

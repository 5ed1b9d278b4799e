"""What makes the supervisor turn: the main thread's loop, and the threads beside it."""

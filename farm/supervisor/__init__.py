"""The supervisor: the parent of a farm. Owns children, signals, lanes, claims, dispatch, deadlines and heartbeats.

Its main thread is one loop over descriptors and timers and never touches the database; claims, heartbeats and upkeep
are parts in threads of their own, each with its own connection. What stands beside this file puts the rooms together:
`boot` makes everything, `supervisor` is the main thread, `parts` are the threads, `drain` is the way out.
"""

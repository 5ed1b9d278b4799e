"""Answers to what operators ask, in words: pure functions of what was read elsewhere.

Sentences may hold text of jobs, hosts or configurations, so anything: whoever prints them makes them printable.
"""

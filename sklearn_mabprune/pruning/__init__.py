"""Rounds of pulls and removals: search, rankers, schedules, budget, path."""

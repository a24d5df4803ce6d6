"""Monitors: they look at usage by the hour and by the day, and say what is not as it was."""

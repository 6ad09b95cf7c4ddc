"""The user's Python code: functions and blocks marked as stages, generators, calls. Knows no framework."""

"""The user's Python code: functions and blocks marked as stages, and generators. Knows no framework."""

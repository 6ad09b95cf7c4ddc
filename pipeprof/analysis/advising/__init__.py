"""What to do about a verdict, and what that should give.

May know verdicts. Must not know words or code for the reader: those are in `pipeprof.report`.
"""

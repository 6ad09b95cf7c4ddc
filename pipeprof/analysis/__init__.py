"""From a `Profile` to findings and advice: pure functions of values.

May know the values of a recording. Must not know a framework, a file, a screen, or how findings are worded.
"""

"""What tuning found, for readers: in words, as code to paste and as a patch of the user's own lines.

May know the values that tuning yields. Must not run or change a pipeline.
"""

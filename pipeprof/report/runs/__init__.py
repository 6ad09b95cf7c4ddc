"""Several runs, for readers: runs beside each other, the runs of a folder, the classic questions.

May know findings and the words of one run. Must not compare anything by itself.
"""

"""The report on one run in words and rows of tables: verdict, why, what to do, where the time went.

May know findings, names and numbers. Must not decide anything: that is the analysis's job.
"""

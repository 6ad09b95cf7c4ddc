"""The run folder: finding, writing and reading runs, and recovering a run whose process died.

It checks every file that it reads. It must not know the analysis.
"""

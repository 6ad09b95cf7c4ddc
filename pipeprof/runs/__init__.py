"""The run folder: finding runs, writing and reading them, and recovering one whose process died.

It trusts no file. It must not know the analysis.
"""

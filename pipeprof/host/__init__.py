"""The machine and the packages on it: processors, control groups, versions.

May know the system's files. Must not know a recording, and loads no framework.
"""

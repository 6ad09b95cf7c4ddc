"""Datasets as they were written: transformations with their lines, and the functions given to them.

Must not know a running pipeline.
"""

"""Compares the report on a planted training with what is true of it: values in, checks out.

May know what is planted, and a report as JSON. Must not run a training or know pipeprof's analysis.
"""

"""Predictions for readers: in words, and as the controls of a page.

May know findings and numbers. Must not predict anything by itself.
"""

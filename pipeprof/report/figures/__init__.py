"""Findings as figures: plain values that plotly draws, each with a table that says the same."""

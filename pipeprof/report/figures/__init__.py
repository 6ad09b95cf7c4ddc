"""Findings as figures: plain values that plotly draws, each with a table of its values."""

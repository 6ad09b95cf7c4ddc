"""What a training would take if something were otherwise: one model for every supposition.

May know verdicts and measures. Must not know advice or words.
"""

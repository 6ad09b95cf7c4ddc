"""All that runs inside the user's training: session and callback, probes, recorder, collector, run writer.

It may know the run folder and the values of a recording. It must not know what the analysis makes of
them; only the session hands out a finished run with its report. What fails in here never reaches the
training.
"""

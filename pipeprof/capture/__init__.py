"""All that runs inside the user's training: session and callback, probes, recorder, collector, run writer.

It may know the run folder and the values of a recording. It must not know the analysis; only the session
returns a finished run with its report. A failure in here never reaches the training.
"""

"""Where a training is observed: a folder for each source. Only these know a framework.

A probe may know the recorder and the loops that run. It must not know the collector or the analysis,
and it never raises into the training.
"""

"""All that runs inside the user's training: the session, its probes, and what they write.

It may know the run folder and the values of a recording. It must not know what the analysis makes of
them, but for the session, which hands out the report. What fails in here never reaches the training.
"""

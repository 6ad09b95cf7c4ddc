"""A second product: a careful verdict on a training that is already running, observed from outside.

The training was not prepared and is not halted: the verdict rests on samples of its stacks and CPU times.
May know py-spy's probe, the analysis and the report. Must not know the recorder or the run folder.
"""

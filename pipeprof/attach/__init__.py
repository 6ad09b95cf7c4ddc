"""The second product: a careful verdict on a training that is already running, observed from outside.

The training was not prepared and is not halted. The verdict rests on samples of its stacks and CPU times.
"""

"""The second product: a training that is already running, observed from outside and judged with care.

Nothing was prepared there and nothing is halted; all it has are samples of stacks and of CPU times.
"""

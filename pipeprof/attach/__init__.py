"""The second product: a training that is already running, looked at from outside and told about with care.

Nothing was prepared there and nothing is halted; all it has are samples of stacks and of CPU times.
"""

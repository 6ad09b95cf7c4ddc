"""What the analysis finds: frozen values without words, from one stage to all processes of a training.

May know the values of a recording. Must not know how anything in here is worked out.
"""

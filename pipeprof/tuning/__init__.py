"""Makes an input pipeline faster, and measures that it is: candidates, rewriting of tf.data graphs, trials.

May know the frameworks and the analysis. Must not know the command line, and changes nothing of the user's
pipeline: what it tries are copies.
"""

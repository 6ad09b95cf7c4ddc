"""TensorBoard's tab 'Input pipeline': pictures and verdicts of the runs in its log folder.

TensorBoard finds `plugin.InputPipelinePlugin` by an entry point; it runs without TensorFlow.
"""

"""TensorBoard's tab 'Input pipeline': pictures and verdicts of the runs in its log folder.

TensorBoard finds `plugin.InputPipelinePlugin` by an entry point. May know TensorBoard, the run folder and
the surfaces. Must not know how a run is captured, and runs without TensorFlow.
"""

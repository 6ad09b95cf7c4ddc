"""tf.data: what AUTOTUNE's model counts of running pipelines, and the line each node comes from."""

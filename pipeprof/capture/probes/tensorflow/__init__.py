"""TensorFlow itself, beside tf.data and its profiler: calls of ``tf.function``."""

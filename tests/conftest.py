import cli  # noqa: F401  (sets how TensorFlow runs, before anything imports it)

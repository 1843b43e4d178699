"""Training data: batches of pictures (pipeline), shards (tfrecord, prepare), downloads."""

"""Training data: pictures or shards into batches (pipeline), shards (tfrecord, prepare), downloads."""

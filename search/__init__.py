"""The search for a latent, and the linear models that help it; no TensorFlow."""

"""Pictures: files, pixels, masks, damage, blending; no TensorFlow."""

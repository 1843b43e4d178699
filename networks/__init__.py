"""Networks: layers to pictures, built from their configuration."""

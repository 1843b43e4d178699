"""From photographs to aligned faces, and back."""

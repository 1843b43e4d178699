"""Picture to picture: networks that learn how damage is undone."""

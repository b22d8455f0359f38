"""HTTP: one module per resource, its routes and its wire models."""

"""Log formats: one module a family, and the registry that names them."""

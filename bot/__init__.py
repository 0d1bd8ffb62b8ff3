"""The product: the only package that knows the others."""

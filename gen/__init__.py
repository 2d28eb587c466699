"""See the package docstring in docs/architecture.md."""

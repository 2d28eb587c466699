"""Model files: reading them, their tokenizers, downloading one, and random ones for tests."""

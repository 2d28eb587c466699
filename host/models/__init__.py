"""Model files as people have them: reading them, their tokenizers, obtaining one, random ones for tests."""

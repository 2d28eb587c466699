"""Published LLM inference hardware: a table of figures with sources, and our designs among them."""

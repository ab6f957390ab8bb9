"""Tasks of a social platform: one form of prompts, examples out of the corpus, and how well a model does them."""

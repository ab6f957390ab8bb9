"""The feed's stages between a request and its answer: hydration, filters, scoring, selection, exploration, reasons."""

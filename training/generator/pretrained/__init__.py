"""Starting from a public model: found offline, fine-tuned on the corpus, served like any other generator."""

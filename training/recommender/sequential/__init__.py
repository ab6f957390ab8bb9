"""Next-post models that know nothing but the order of what each user acted on: ids in, scores of a catalogue out."""

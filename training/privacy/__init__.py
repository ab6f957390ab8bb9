"""Personal data in texts, English and Chinese: where it stands, and text without it, whole or as a stream."""

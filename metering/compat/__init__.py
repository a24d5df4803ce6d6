"""Other people's wire formats, translated into ours: pure functions on bytes."""

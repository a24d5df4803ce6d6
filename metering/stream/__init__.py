"""The live stream of events: a process of its own, so that no listener holds an ingest thread."""

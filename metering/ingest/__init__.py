"""The hot path: door, inbox, then a drain that gates, dedupes, enriches, rates and writes."""

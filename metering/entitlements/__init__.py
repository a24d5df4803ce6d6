"""Whether a call may pass: answered from Redis alone, which drains, changes and a sync write."""

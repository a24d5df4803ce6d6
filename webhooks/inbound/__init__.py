"""From a push to usage: signature, filter, mapping, memory."""

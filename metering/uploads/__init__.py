"""Files of usage: read row by row in constant memory, mapped to events, checked like a door's."""

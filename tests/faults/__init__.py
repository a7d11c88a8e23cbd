"""Places at which a process can be made to die: their table, and what puts them into the real code from outside."""

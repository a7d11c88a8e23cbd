"""What each ``card-station`` command does, once the command line is understood.

A command takes a ``Call``, prints data to standard output (as JSON where ``--json`` asks for it), and
returns the exit code; what goes wrong it raises. Its heavy imports are inside the function."""

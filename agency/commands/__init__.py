"""The commands of card-agency, a module a family: each function takes home and arguments, returns the exit code."""

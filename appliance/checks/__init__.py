"""One file a check, and the verdict. A check never raises: it passes, fails, could not check, or was not asked."""

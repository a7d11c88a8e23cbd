"""Bytes in, facts out. Pure: APDUs, status words, the Thai ID applet, the citizen number, dates. No reader here."""

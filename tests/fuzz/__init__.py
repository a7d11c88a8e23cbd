"""Coverage-guided fuzzing of what takes bytes from a card. See docs/card.md, "Fuzzing"."""

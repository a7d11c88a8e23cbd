"""The virtual world: cards, panel, clock, a private pcscd. Shipped, and kept honest by the contract tests."""

"""The agency's half of the online question: what stations ask, who knows, and the signed answer."""

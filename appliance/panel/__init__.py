"""What the person sees and hears. Pure: one table from state to words, lights and tone, and the drawing of it."""

"""What anybody may ask: whether the visit whose number they were shown is recorded. Nothing else."""

"""The world: one third-party hardware library a file, and nowhere else."""

"""One module per destination. Each says what its payload looks like, and nothing else."""

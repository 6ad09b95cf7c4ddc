"""Which loop takes batches right now, its steps and its waits, whoever reports them. Knows no framework."""

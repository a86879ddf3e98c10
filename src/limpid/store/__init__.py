"""The run store: directories, locks, status and fingerprints. Reads and writes files only."""

"""Results: the run store, the rows that papers print, and tables of both. Reads and writes files; knows no network."""

"""The ledger: every call of this machine in one SQLite file, written by any number of processes. Knows no destination."""

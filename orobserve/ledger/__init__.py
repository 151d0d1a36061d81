"""The ledger: every call of this machine in one SQLite file, written by many processes. It knows no destination."""

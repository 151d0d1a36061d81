"""The local web page over the ledger: `orobserve ui`. It reads, and knows nothing of how calls are captured."""

"""The edges: one thin file per HTTP library. They know bytes and headers, nothing of tokens or JSON."""

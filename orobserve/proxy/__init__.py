"""The sidecar: an HTTP proxy that forwards the API as it is, and has every call observed. Knows no tokens, no JSON."""

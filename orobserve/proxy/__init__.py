"""The sidecar and the receiver: ASGI applications."""

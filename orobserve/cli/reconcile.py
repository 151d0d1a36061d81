"""x."""


def add(commands: object) -> None:
    """X."""

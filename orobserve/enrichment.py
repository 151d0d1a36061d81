"""When to ask OpenRouter for its own record of a call."""

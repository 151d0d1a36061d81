"""The `orobserve` command."""

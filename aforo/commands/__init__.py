"""What the `aforo` command can do; each command is registered in `aforo.cli`."""

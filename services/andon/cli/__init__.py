"""The command `andon`: arguments only; each command calls one function."""

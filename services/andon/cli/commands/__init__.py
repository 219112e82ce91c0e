"""One file for each command, with `add_parser(subparsers)`."""

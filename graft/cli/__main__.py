"""`python -m graft.cli` is the command `graft`."""

from graft.cli.main import main

main()

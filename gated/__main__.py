"""`gated` and `python -m gated`."""

from gated.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m sottovoce.cli`."""

from sottovoce.cli import main

if __name__ == "__main__":
    main()

"""`python -m regdata`, which torchrun needs too, is the command `regdata`."""

from regdata.commands import main

if __name__ == "__main__":
    main(prog_name="regdata")

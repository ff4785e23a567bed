"""``python -m central`` is ``fiesta-central``."""

from central.commands.main import main

main(prog_name="fiesta-central")

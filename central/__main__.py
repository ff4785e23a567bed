"""``python -m central`` is ``fiesta-central``."""

from central.cli import main

main(prog_name="fiesta-central")

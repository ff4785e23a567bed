"""`python -m agent` is `fiesta-agent`."""

from agent.cli import main

if __name__ == "__main__":
    main(prog_name="fiesta-agent")

"""`python -m agent` is `fiesta-agent`."""

from agent.commands.main import main

if __name__ == "__main__":
    main(prog_name="fiesta-agent")

"""``fiesta-central mcp``: a server for assistants, on standard input and output."""

from collections.abc import AsyncIterator

import click

from central.commands.asking import anywhere, fail, settings_of_environment, target


@click.command()
@anywhere
def mcp() -> None:
    """Answer an assistant that speaks the Model Context Protocol, on standard input and output.

    It finds names, aggregates, and says what was lost and how the service is. It changes nothing. A key with the scope
    query is enough. See docs/assistants.md. It needs the wheel's extra mcp.

    \b
    Example:
      METRICS_URL=https://metrics.example.com METRICS_KEY=gf_... fiesta-central mcp
    """
    from central.client import Client, ClientError

    try:
        from central.commands.assistant import make_server
    except ModuleNotFoundError as error:
        install = 'pip install "$(ls glowing_fiesta-*.whl)[mcp]"'
        fail(f"the Python package {error.name} is not installed; install the wheel with its extra: {install}")
    try:
        service = target()
    except ClientError as error:
        fail(str(error))
    make_server(Client(service), None if service.url_source else _findings).run()


async def _findings() -> AsyncIterator[tuple[str, ...]]:
    """What ``doctor`` finds on this host."""
    import structlog

    from central.doctor.probe import examine

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    async for finding in examine(settings_of_environment()):
        yield tuple(finding)

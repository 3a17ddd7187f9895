"""`edge simulate`: play OpenAI and Anthropic on a local port, with faults on demand."""

from __future__ import annotations

from typing import Any

import click

from edge.net.addresses import authority

LOCAL = "127.0.0.1"
FILE = click.Path(exists=True, dir_okay=False)

EPILOG = """\b
A fault is asked for in any of these ways, looked at in this order:
  header     x-simulate: status=529;retry-after=7
  model      "model": "fault:stall=3"
  rule       POST /_simulate {"faults": [{"match": {"model": "gpt-*"},
             "times": 3, "fault": "cut=400"}]}
GET /_simulate shows what came in, DELETE /_simulate forgets it.
`edge simulate --list-faults` lists the faults."""


def _list_faults(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from edge.simulator.faults import table

        click.echo(table())
        context.exit()


@click.command(epilog=EPILOG)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; 0: a free one.")
@click.option("--host", default=LOCAL, show_default=True, help="Address to listen on.")
@click.option("--tls-cert", type=FILE, help="PEM certificate: serve HTTPS.")
@click.option("--tls-key", type=FILE, help="PEM key, if in a file of its own.")
@click.option("--key", help="The only API key to accept. Without it any will do.")
@click.option("--latency", type=click.FloatRange(0), default=0, metavar="MS",
              help="Wait before each answer.")
@click.option("--jitter", type=click.FloatRange(0), default=0, metavar="MS",
              help="Wait up to this much longer.")
@click.option("--tokens", type=click.IntRange(1), default=16, metavar="N", show_default=True,
              help="Length of an answer's text: as many events in a stream.")
@click.option("--delay-ms", "delay", type=click.FloatRange(0), default=0, metavar="MS",
              help="Wait between two events of a stream.")
@click.option("--capacity", type=click.IntRange(1), metavar="N",
              help="Work on at most N answers at once; further requests wait for their turn.")
@click.option("--queue", type=click.IntRange(0), metavar="M",
              help="Let at most M requests wait; a further one is told that the provider is overloaded.")
@click.option("--list-faults", is_flag=True, is_eager=True, expose_value=False, callback=_list_faults,
              help="List the faults and leave.")
def simulate(host: str, port: int, **options: Any) -> None:
    """Play OpenAI and Anthropic, plain and streaming, with faults on demand.

    Answers are made up, but the same for the same request. Stops on SIGTERM and SIGINT.
    """
    from edge.simulator import Options, bind, run

    if options["tls_key"] and not options["tls_cert"]:
        raise click.UsageError("--tls-key needs --tls-cert")
    if options["queue"] is not None and options["capacity"] is None:
        raise click.UsageError("--queue needs --capacity")
    scheme = "https" if options["tls_cert"] else "http"

    def ready(bound: int) -> None:
        click.echo(f"simulator listening on {scheme}://{authority(host, bound)}")

    try:
        run(bind(host, port), Options(**options), ready=ready)
    except OSError as error:        # the address is taken or none of ours; the certificate cannot be used
        raise click.ClickException(f"cannot listen on {scheme}://{authority(host, port)}: {error}") from None

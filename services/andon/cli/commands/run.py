"""`andon run SERVICE`: one service in this process. It reads its configuration from `andon.config`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from typing import TYPE_CHECKING

from andon.cli import arguments
from andon.cli.asking import where
from andon.cli.main import DONE, USAGE
from andon.cli.running.processes import SERVICES

if TYPE_CHECKING:
    from andon.config.kafka import Kafka


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("run", help="run one service", description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument(
        "--slot", type=arguments.slot, default=0, help="which of several processes of the service, from 0"
    )
    where.option(parser)
    parser.add_argument("--listen", type=_listen, metavar="HOST:PORT", help="the door's address (ingress only)")
    parser.add_argument(
        "--metrics-port", type=arguments.port, default=8701, metavar="PORT", help="health and metrics (default 8701)"
    )
    parser.add_argument("--metrics-address", default="127.0.0.1", help="where that listens (default loopback)")
    parser.set_defaults(func=_run)


def _listen(text: str) -> str:
    from andon.config.addresses import host_port

    arguments.told(host_port, text)
    return text


def _address(args: argparse.Namespace, kafka: Kafka) -> str:
    """Raises NotRunning."""
    try:
        return where.address(args, kafka)
    except where.NotRunning as problem:
        text = f"{problem}, or name a Kafka of your own with kafka.bootstrap or --bootstrap HOST:PORT"
        raise where.NotRunning(text) from None


def _run(args: argparse.Namespace) -> int:
    from andon.config.reach import kafka_of
    from andon.runtime import logs
    from andon.runtime.host import Options, serve

    if args.listen and args.service != "ingress":
        print(f"andon run: --listen is the door's address, and {args.service} is no door", file=sys.stderr)
        return USAGE
    logs.configure(args.service)
    kafka = kafka_of(args.config)
    options = Options(
        service=args.service,
        kafka=kafka,
        bootstrap=_address(args, kafka),
        data=args.data,
        slot=args.slot,
        metrics_address=args.metrics_address,
        metrics_port=args.metrics_port,
        listen=args.listen,
    )
    asyncio.run(serve(options, lambda: importlib.import_module(f"andon.{args.service}.app").run))
    return DONE

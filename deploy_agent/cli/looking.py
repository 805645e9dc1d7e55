"""`inventory`, `status`, `history` and `check`: what looks and changes nothing."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from deploy_agent.cli.common import (
    FAILED,
    config_file,
    load_config,
    local_time,
    printable,
    shared,
    show_json,
    table,
)
from deploy_agent.domain.errors import AgentError


@click.command()
@shared
@click.option("--xml", "form", flag_value="xml", help="As it is sent to the server.")
@click.option("--json", "form", flag_value="json")
@click.pass_obj
def inventory(given: dict[str, Path], form: str | None) -> None:
    """Show what the server learns about this computer."""
    config = load_config(given)
    from deploy_agent.services.looking import inventory_of

    message = inventory_of(config)
    if form == "xml":
        click.echo(message.to_bytes().decode("utf-8"), nl=False)
    elif form == "json":
        sections = [{"name": each.name, **dict(each.fields)} for each in message.sections]
        show_json({"device_id": message.device_id, "tag": message.tag, "sections": sections})
    else:
        for section in message.sections:
            click.echo(section.name)
            for name, text in section.fields:
                click.echo(f"    {name:<20} {printable(text)}")


@click.command()
@shared
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def status(given: dict[str, Path], as_json: bool) -> None:
    """Show where every package stands, and why it waits."""
    config = load_config(given)
    from deploy_agent.services.looking import status_of

    found = status_of(config)
    if as_json:
        show_json(found)
        return
    contacted = found["last_contact"]
    words = {
        "device id": found["device_id"] or "made at the first contact",
        "server": found["server"],
        "last contact": local_time(contacted) if contacted else "never",
        "deployment": found["deployment"],
        "agent": found["agent"],
    }
    for name, text in words.items():
        click.echo(f"{name:<14} {printable(text)}")
    if found["packages"]:
        click.echo("")
    rows = [_package_row(each) for each in found["packages"]]
    for line in table([PACKAGE_HEAD, *rows]) if rows else ():
        click.echo(line)


PACKAGE_HEAD = ("PACKAGE", "STATE", "PRIORITY", "FRAGMENTS", "SINCE", "WHY")


def _package_row(package: dict[str, Any]) -> tuple[str, ...]:
    fragments, priority = package.get("fragments"), package.get("priority")
    here = "" if fragments is None else f"{fragments - package['missing']}/{fragments}"
    return (
        package["package"],
        package["state"],
        "" if priority is None else str(priority),
        here,
        local_time(package["since"]) if "since" in package else "",
        package["why"],
    )


@click.command()
@shared
@click.argument("package_id", metavar="[ID]", required=False)
@click.option("--output", is_flag=True, help="With what each action wrote.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def history(given: dict[str, Path], package_id: str | None, output: bool, as_json: bool) -> None:
    """Show what ended on this computer, oldest first; of one package with its output."""
    config = load_config(given)
    from deploy_agent.services.looking import history_of

    entries = history_of(config)
    if package_id is not None:
        entries = [each for each in entries if each["package"] == package_id]
        if not entries:
            raise AgentError(
                f"package {package_id} has not ended on this computer",
                "'deploy-agent status' shows the packages in progress",
            )
    if as_json:
        show_json(entries)
        return
    for entry in entries:
        detail = f"  {entry['detail']}" if entry["detail"] else ""
        line = f"{local_time(entry['ended_at'])}  {entry['package']}  {entry['code']}{detail}"
        click.echo(printable(line))
        if output or package_id is not None:
            _show_output(entry)


def _show_output(entry: dict[str, Any]) -> None:
    if entry["truncated"]:
        click.echo("    [only the end was kept]")
    for line in entry["output"].splitlines():
        click.echo(f"    {printable(line)}")


@click.command()
@shared
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
@click.pass_context
def check(ctx: click.Context, given: dict[str, Path], as_json: bool) -> None:
    """Find out what keeps this agent from working."""
    config = load_config(given)
    from deploy_agent.services.checking import Level, findings

    failed = False
    found = []
    for finding in findings(config, config_file(given)):
        failed = failed or finding.level is Level.FAILED
        found.append(asdict(finding))
        if not as_json:
            mark = {Level.OK: "ok  ", Level.WARNING: "warn", Level.FAILED: "FAIL"}[finding.level]
            click.echo(f"{mark} {finding.what}: {printable(finding.detail)}")
    if as_json:
        show_json(found)
    ctx.exit(FAILED if failed else 0)

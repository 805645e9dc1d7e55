"""`inventory`, `status`, `history` and `check`: what looks and changes nothing."""

from pathlib import Path

import click

from deploy_agent.cli.common import FAILED, load_config, printable, shared, show_json


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
    words = {
        "device_id": found["device_id"] or "made at the first contact",
        "last_contact": found["last_contact"] or "never",
    }
    for name in ("device_id", "server", "last_contact", "deployment", "agent"):
        click.echo(f"{name.replace('_', ' '):<14} {printable(words.get(name, found[name]))}")
    for package in found["packages"]:
        click.echo(f"{package['package']} {package['state']}: {printable(package['why'])}")


@click.command()
@shared
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def history(given: dict[str, Path], as_json: bool) -> None:
    """Show what ended on this computer, oldest first."""
    config = load_config(given)
    from deploy_agent.services.looking import history_of

    entries = history_of(config)
    if as_json:
        show_json(entries)
        return
    for entry in entries:
        detail = f"  {entry['detail']}" if entry["detail"] else ""
        line = f"{entry['ended_at'][:19]}Z  {entry['package']}  {entry['code']}{detail}"
        click.echo(printable(line))


@click.command()
@shared
@click.pass_obj
@click.pass_context
def check(ctx: click.Context, given: dict[str, Path]) -> None:
    """Find out what keeps this agent from working."""
    loaded = load_config(given)
    from deploy_agent.services.looking import findings

    failed = False
    for finding in findings(loaded):
        failed = failed or not finding.good
        mark = "ok  " if finding.good else "FAIL"
        click.echo(f"{mark} {finding.what}: {printable(finding.detail)}")
    ctx.exit(FAILED if failed else 0)

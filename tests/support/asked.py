"""A package that asks a user, an agent that has asked, and what came of it."""

from dataclasses import replace

from deploy_agent.services.agent import Agent
from deploy_agent.services.asking import LOOK_S
from deploy_agent.services.waiting import Patience, Wait
from deploy_agent.wire.info import Notification
from tests.support.computer import Computer
from tests.support.dialogs import ScriptedWindow

ID = "1800000001"
ASKS = Notification("May <b>I</b>?", countdown_s=300, can_abort=True, can_delay=True)
FOR_EVER = replace(ASKS, countdown_s=0)


def daemon(pc: Computer) -> Agent:
    """An agent that has contacted its server and asked what it could."""
    agent = pc.agent(Patience())
    agent.asking.wake = lambda: None
    agent.poll()
    agent.step()
    return agent


def look_for(agent: Agent, pc: Computer, seconds: float) -> Wait | None:
    """The agent is at no other work and looks after the user all the time."""
    wait = None
    for _ in range(int(seconds / LOOK_S)):
        pc.clock.advance(seconds=LOOK_S)
        wait = agent.step()
    return wait


def window(pc: Computer) -> ScriptedWindow:
    (only,) = pc.dialog.open_windows
    return only


def answers(pc: Computer) -> list[tuple[str, str]]:
    """Who said what, by the package's record or by history."""
    record = pc.store.read(ID) if ID in pc.store.ids() else None
    if record is not None:
        return [(each.who, each.reply.value) for each in record.answers]
    return [(each["who"], each["reply"]) for each in pc.history.read_all()[0]["answers"]]


def why(agent: Agent) -> str:
    (each,) = agent.standings()
    return each[1].why

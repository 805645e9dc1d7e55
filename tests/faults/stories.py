"""What is deployed while the agent is killed: a story for each way that a package can go."""

import json
from dataclasses import replace
from datetime import timedelta

from deploy_agent.domain.errors import (
    ActionFailed,
    HttpRefusal,
    ServerUnreachable,
    UnpackFailed,
)
from deploy_agent.domain.record import Reply
from deploy_agent.wire.info import Notification
from deploy_agent.wire.replies import DownloadSettings
from deploy_agent.wire.terms import Action
from tests.support.dialogs import ALICE
from tests.support.kills import Story, World
from tests.support.simulator import QUICK, ServerSimulator, archive

ID = "1800000001"
ASKS = Notification("May I?", countdown_s=0, can_abort=True, can_delay=True)
NO_FILE = {"fragments": 0}
FIRST_ATTEMPT = ServerSimulator.attempt + 1
LATER = "2026/11/21 12:30"  # some lives after everything begins


def _bad_bytes(world: World) -> None:
    world.server.fail(f"{ID}-2", b"x" * 9)


def _refused(world: World) -> None:
    world.server.fail(f"{ID}-2", HttpRefusal("404", status=404))


def _silent(world: World) -> None:
    """Nobody answers for the second fragment, seven times."""
    nobody = [ServerUnreachable("no connection")] * 7
    world.server.fail(
        f"{ID}-2", *nobody, lambda: world.server.files[world.server.url(ID, f"{ID}-2")]
    )


def _lost_answers(world: World) -> None:
    world.server.lose_acknowledgements = 2


def _not_ours(world: World) -> None:
    """The same package on an OCS server."""
    world.server.ours = False
    world.server.publish(fragments=2, foreign=True)
    world.server.assign()


def _wants_inventory(world: World) -> None:
    world.server.wants_inventory = True
    world.server.account = {"TAG": "paris"}


def _cannot_unpack(world: World) -> None:
    def unpack(*_: object) -> None:
        raise UnpackFailed("the archive is damaged")

    world.computer.trees.unpack = unpack  # type: ignore[assignment]


def _cannot_start(world: World) -> None:
    world.runner.failure = ActionFailed("nothing was run")


def _too_late(world: World) -> None:
    """Its info file never comes, and its time is over."""
    world.server.settings = replace(QUICK, timeout_days=1)
    world.server.fail("info", ServerUnreachable("no connection"))


def _a_day_later(world: World) -> None:
    if world.server.prologs >= 1:
        world.computer.clock.time += timedelta(days=2)


def _taken_back(world: World) -> None:
    """After the first contact the server takes it back, and says so until it is answered."""
    if world.server.prologs >= 1 and not world.server.cancels:
        attempt = world.server.assigned[ID].offer.attempt
        assert attempt is not None
        world.server.cancels = ((ID, attempt),)
        row = world.server.assigned[ID]
        if row.status in ("WAITING", "NOTIFIED"):
            row.status = "gone"


def _edited(world: World) -> None:
    """After the first contact there are other bytes and another command, for now."""
    server = world.server
    if server.prologs >= 1 and server.info().revision == 1:
        content = archive({"other.sh": b"#!/bin/sh\n", "data": bytes(999)})
        server.publish(content=content, fragments=2, target="other.sh", revision=2)
        server.offer(revision=2, schedule="")
        world.fate.kept.clear()


def _assigned_again(world: World, *, force: bool = False) -> None:
    server = world.server
    if server.attempt == FIRST_ATTEMPT and server.status() not in ("WAITING", "NOTIFIED"):
        server.assign(force=force)
        world.fate.kept.clear()


def _forced_again(world: World) -> None:
    _assigned_again(world, force=True)


def _another(world: World) -> None:
    """A second package, which may not start before the restart."""
    world.server.publish("1800000002", fragments=0)
    world.server.assign("1800000002")


def _renamed(world: World) -> None:
    """After the first contact the computer has another name, and its results wait for that."""
    path = world.state / "identity.json"
    told = any(each.old_device_id for each in world.server.inventories)
    if told or not world.server.prologs or not path.exists():
        return
    identity = json.loads(path.read_bytes())
    if identity["old_device_id"] is None:
        path.write_text(json.dumps({**identity, "name": "another"}))
        world.runner.disk.settle()


def _switched_off(world: World) -> None:
    """At its second contact the agent may not work."""
    world.server.settings = DownloadSettings(on=False) if world.server.prologs == 1 else QUICK


STORIES = [
    Story("a package of two fragments", {"fragments": 2}),
    Story("without a file", NO_FILE),
    Story("that fails", NO_FILE, exit_codes=(3,), codes=("ERR_EXIT_CODE_3",)),
    Story(
        "with a retry code", {"fragments": 2, "retry_codes": (75,)}, exit_codes=(75, 0), starts=2
    ),
    Story(
        "with a bad digest",
        {"fragments": 2},
        arrange=_bad_bytes,
        codes=("ERR_BAD_DIGEST",),
        starts=0,
    ),
    Story(
        "with a missing fragment",
        {"fragments": 2},
        arrange=_refused,
        codes=("ERR_DOWNLOAD_PACK",),
        starts=0,
    ),
    Story("with a silent server", {"fragments": 2}, arrange=_silent),
    Story("with answers lost", NO_FILE, arrange=_lost_answers),
    Story("whose runner dies", NO_FILE, vanish=1, codes=("ERR_DONE_FAILED",)),
    Story("whose action is left alone", NO_FILE, vanish=1, alone=True, codes=("ERR_DONE_FAILED",)),
    Story(
        "whose actions are left alone, two tries",
        NO_FILE,
        vanish=2,
        alone=True,
        max_tries=2,
        codes=("ERR_DONE_FAILED",),
        starts=2,
    ),
    Story("whose runner dies before it begins", {"fragments": 1}, stillborn=1),
    Story(
        "whose runners die before they begin",
        NO_FILE,
        stillborn=99,
        codes=("ERR_EXECUTE",),
        starts=0,
    ),
    Story("whose runner dies, two tries", NO_FILE, vanish=1, max_tries=2, starts=2),
    Story(
        "whose runner dies thrice, three tries",
        NO_FILE,
        vanish=3,
        max_tries=3,
        codes=("ERR_DONE_FAILED",),
        starts=3,
    ),
    Story(
        "that stores",
        {"fragments": 2, "action": Action.STORE, "target": "/x"},
        vanish=2,
        starts=3,
        once_more=True,
    ),
    Story("of an OCS server", {"fragments": 2}, arrange=_not_ours),
    Story("with an inventory", NO_FILE, arrange=_wants_inventory),
    Story(
        "that cannot be unpacked",
        {"fragments": 1},
        arrange=_cannot_unpack,
        codes=("ERR_UNZIP",),
        starts=0,
    ),
    Story(
        "that cannot be started", NO_FILE, arrange=_cannot_start, codes=("ERR_EXECUTE",), starts=0
    ),
    Story(
        "whose time is over",
        NO_FILE,
        arrange=_too_late,
        meanwhile=_a_day_later,
        codes=("ERR_TIMEOUT",),
        starts=0,
    ),
    Story("with a schedule", {"fragments": 1}, {"schedule": LATER}),
    Story("with a post command", NO_FILE, {"postcmd": "touch /x"}),
    Story(
        "with a restart",
        NO_FILE,
        {"postcmd": "REBOOT"},
        arrange=_another,
        codes=("SUCCESS", "SUCCESS"),
        starts=2,
    ),
    Story("that a user lets start", {"fragments": 1, "notification": ASKS}, users=(ALICE,)),
    Story(
        "that a user puts off",
        {**NO_FILE, "notification": ASKS},
        users=(ALICE,),
        replies=(Reply.LATER, Reply.NOW),
    ),
    Story(
        "that a user cancels",
        {**NO_FILE, "notification": ASKS},
        users=(ALICE,),
        replies=(Reply.CANCEL,),
        codes=("ERR_ABORTED",),
        starts=0,
    ),
    Story(
        "whose end a user confirms",
        {**NO_FILE, "done_text": "Done"},
        {"postcmd": "touch /x"},
        users=(ALICE,),
    ),
    Story("whose end nobody confirms", {**NO_FILE, "done_text": "Done"}),
    Story(
        "that is taken back",
        {"fragments": 2},
        {"schedule": LATER},
        meanwhile=_taken_back,
        codes=(),
        starts=0,
    ),
    Story(
        "that is taken back in the middle",
        {"fragments": 1},
        meanwhile=_taken_back,
        tolerates=(((), 0),),
    ),
    Story("that is edited", {"fragments": 2}, {"schedule": LATER}, meanwhile=_edited),
    Story(
        "that is there already",
        NO_FILE,
        meanwhile=_assigned_again,
        codes=("SUCCESS", "ERR_ALREADY_SETUP"),
    ),
    Story(
        "that is forced",
        {"fragments": 1},
        meanwhile=_forced_again,
        codes=("SUCCESS", "SUCCESS"),
        starts=2,
    ),
    Story("of a renamed computer", NO_FILE, {"schedule": LATER}, meanwhile=_renamed),
    Story("that is switched off", {"fragments": 2}, meanwhile=_switched_off),
]


def story_named(name: str) -> Story:
    (found,) = (each for each in STORIES if each.name == name)
    return found
